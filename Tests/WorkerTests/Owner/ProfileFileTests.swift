import Foundation
import IorunContract
import IorunCore
import IorunCrypto
import IorunSandbox
import Testing

@testable import IorunWorker

@Suite struct `A machine against its profile` {
  @Test func `a profile's file changes what it names and keeps the rest`() throws {
    let folder = try TemporaryFolder()
    func read(_ text: String) throws -> NodeProfile {
      let path = folder.path + "/profile.json"
      try Data(text.utf8).write(to: URL(fileURLWithPath: path))
      return try NodeProfile(file: path)
    }
    #expect(try read("{}") == .standard)
    let small = try read(#"{"memory_bytes": 1000, "upload_megabits_per_second": 2.5}"#)
    #expect(small.memory == Bytes(1000) && small.uploadBitsPerSecond == 2_500_000)
    #expect(small.disk == NodeProfile.standard.disk)
    #expect(try read(#"{"round_trip_milliseconds": 80}"#).roundTrip == .milliseconds(80))
    for text in [
      "", "[]", #"{"memory": 1}"#, #"{"memory_bytes": -1}"#, #"{"disk_bytes": "x"}"#,
      #"{"download_megabits_per_second": -1}"#,
    ] {
      let error = #expect(throws: IorunError.self, "\(text)") { try read(text) }
      #expect(error?.code == .specInvalid)
    }
    let missing = #expect(throws: IorunError.self) { try NodeProfile(file: folder.path + "/none") }
    #expect(missing?.code == .fileMissing)
  }

  @Test func `rates are those of the slower direction and of what was fetched`() async throws {
    let head = SlowHead(bytesPerSecond: 40e6)
    let rates = try await LinkRates.measure(head)
    // Eight at a time; this machine may be slower than the head, never faster.
    #expect(rates.uploadBitsPerSecond > 0 && rates.downloadBitsPerSecond > 0)
    #expect(Double(rates.uploadBitsPerSecond) <= 40e6 * 8 * 8)
    #expect(Double(rates.downloadBitsPerSecond) <= 40e6 * 8 * 8)
    #expect(await head.kept <= 16, "the same chunks each time")
  }

  @Test func `the checks name what falls short, and what to do`() async throws {
    let folder = try TemporaryFolder()
    var profile = NodeProfile.standard
    profile.memory = Bytes(1)
    profile.disk = Bytes(.max)
    let doctor = HostDoctor(stateFolder: folder.path, profile: profile) { _ in false }
    let checks = try await doctor.examineOffer(
      roundTripMilliseconds: 31,
      rates: LinkRates(downloadBitsPerSecond: 500_000_000, uploadBitsPerSecond: 1_000_000),
      found: IsolationFindings(reports: [], scratch: .tmpfs))
    let outcomes = Dictionary(uniqueKeysWithValues: checks.map { ($0.name, $0.outcome) })
    #expect(
      outcomes == [
        "memory": .passed, "disk": .limited, "ping": .limited, "download": .passed,
        "upload": .limited, "sandbox": .failed, "encrypted scratch": .limited,
      ])
    #expect(checks.allSatisfy { ($0.outcome == .passed) == ($0.remedy == nil) })
    #expect(
      checks.first { $0.name == "encrypted scratch" }?.fix
        == .install(["gocryptfs", "fuse3", "e2fsprogs"]))
    // Whose owner wants no sandbox is told nothing of one.
    let open = try await doctor.examineOffer(roundTripMilliseconds: 1, rates: nil, found: nil)
    #expect(!open.contains { $0.name == "sandbox" })
  }
}

/// A head that takes a while for each chunk.
private actor SlowHead: ContentEndpoint {
  private var chunks: [Digest: Data] = [:]
  private let bytesPerSecond: Double
  var kept: Int { chunks.count }

  init(bytesPerSecond: Double) { self.bytesPerSecond = bytesPerSecond }

  func missing(of digests: [Digest]) -> [Digest] { digests.filter { chunks[$0] == nil } }

  func put(_ chunk: Data) async throws -> Digest {
    try await Task.sleep(for: .seconds(Double(chunk.count) / bytesPerSecond))
    let digest = SHA256.digest(of: [UInt8](chunk))
    chunks[digest] = chunk
    return digest
  }

  func get(_ digest: Digest) async throws -> Data {
    guard let chunk = chunks[digest] else { throw IorunError(.notFound, "no such chunk") }
    try await Task.sleep(for: .seconds(Double(chunk.count) / bytesPerSecond))
    return chunk
  }
}
