import Foundation
import Testing

@Suite("SchedulerBench group reads any matrix of its formats")
struct GroupCommandTests {
  private static let keys = ["mean_ratio", "max_ratio", "claimed_gap_max", "median_us"]

  private func run(
    _ data: Data, format: String, k: Int, more: [String] = []
  ) throws -> BenchFiles.Outcome {
    let files = try BenchFiles()
    try files.write(data, "matrix")
    return try files.run(
      arguments: [
        "group", "--matrix", "matrix", "--format", format, "--k", "\(k)", "--draws", "5", "--seed",
        "7", "--json",
      ] + more)
  }

  /// Four hosts in two towns, 1 ms within a town and 20 ms between them.
  private static let towns: [[Double]] = [
    [0, 1, 20, 20], [1, 0, 20, 20], [20, 20, 0, 1], [20, 20, 1, 0],
  ]

  private static func text(_ rows: [[Double]], scale: Double, separator: String) -> Data {
    Data(
      rows.map { $0.map { "\($0 * scale)" }.joined(separator: separator) }.joined(
        separator: "\r\n"
      ).utf8)
  }

  private static func pings(_ rows: [[Double]]) -> Data {
    var data = Data()
    for value in rows.flatMap({ $0 }) {
      let average = UInt32(value * 1000)
      for word in [average / 2, average, average * 2, 1] {
        withUnsafeBytes(of: word.littleEndian) { data.append(contentsOf: $0) }
      }
    }
    return data
  }

  @Test(
    "Milliseconds, seconds, tabs, commas and WonderProxy's words say the same",
    arguments: [
      ("netlatency-ms", text(towns, scale: 1, separator: "\t")),
      ("netlatency-ms", text(towns, scale: 1, separator: ", ")),
      ("netlatency-s", text(towns, scale: 0.001, separator: " ")),
      ("wonderproxy", pings(towns)),
    ])
  func formats(format: String, data: Data) throws {
    for capacities in ["unit", "heavy"] {
      let outcome = try run(data, format: format, k: 4, more: ["--capacities", capacities])
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(outcome.values["mean_ratio"] == 1)
      #expect(outcome.values["claimed_gap_max"] == 0)
      for key in Self.keys { #expect(outcome.values[key] != nil, "\(key) in \(outcome.output)") }
    }
  }

  @Test("Holes, negative entries and directions that differ are no group, and no crash")
  func holes() throws {
    let odd = Data("0 10 nan -1\n12 0 5 0\ninf 5 0 7\n-1 0 7 0\n".utf8)
    let outcome = try run(odd, format: "netlatency-ms", k: 2)
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect((outcome.values["mean_ratio"] ?? 0) >= 1)
  }

  @Test(
    "What is no matrix, or holds no group, is refused",
    arguments: [
      ("netlatency-ms", Data("0 1\n1\n".utf8), 2, "no square matrix"),
      ("netlatency-ms", Data("0 1\n1 here\n".utf8), 2, "line 2: 'here' is no number"),
      ("netlatency-ms", Data("0 0\n0 0\n".utf8), 2, "no draw had room"),
      ("netlatency-ms", Data("0 1\n1 0\n".utf8), 99, "no draw had room"),
      ("netlatency-ms", Data("0 1\n1 0\n".utf8), 0, "above 0"),
      ("wonderproxy", Data("0 1\n1 0\n".utf8), 2, "four numbers"),
      ("furlongs", Data("0 1\n1 0\n".utf8), 2, "invalid"),
    ])
  func refused(format: String, data: Data, k: Int, words: String) throws {
    let outcome = try run(data, format: format, k: k)
    #expect(outcome.status == 2)
    #expect(outcome.errors.contains(words), "\(outcome.errors)")
    #expect(outcome.output.isEmpty)
  }
}
