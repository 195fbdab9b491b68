internal import Foundation
internal import IorunCore

/// Measures every line with all contenders, one right after the other in every round: a virtual
/// machine has slow and fast minutes, and all must see the same ones.
struct CallsBenchmark {
  private let options: BenchOptions

  private let lines: [Line]

  init(_ options: BenchOptions, lines: [Line] = Line.all + Line.bulk) {
    self.options = options
    self.lines = lines
  }

  func run() throws -> [LineResult] {
    let folder = try TemporaryFolder()
    defer { folder.remove() }
    var results = lines.map { LineResult(line: $0) }
    for round in 1...options.rounds {
      for index in results.indices {
        let line = results[index].line
        Progress.show(
          "round \(round) of \(options.rounds): \(line.name), \(line.outstanding) outstanding")
        for contender in line.contenders {
          results[index].samples[contender, default: []]
            .append(try measure(contender, line, folder.path))
        }
      }
    }
    Progress.clear()
    return results
  }

  private func measure(_ contender: Contender, _ line: Line, _ folder: String) throws -> Sample {
    let address = line.carrier == .tcp ? "tcp://127.0.0.1:0" : "ipc://\(folder)/socket"
    let arguments =
      ["__party", contender.rawValue, line.carrier.rawValue]
      + (line.isEncrypted ? ["--encrypted"] : []) + ["--outstanding", "\(line.outstanding)"]
      + ["--message-bytes", "\(line.messageBytes)"]
    let server = try Child(Machine.executable, arguments + [address])
    defer { server.end() }
    let place: Party.Announcement = try server.readLine()
    let caller = try Child(
      Machine.executable,
      arguments + [
        place.address, "--key", Base32.encode(place.key), "--server", "\(server.pid)",
        "--seconds", "\(options.seconds)",
      ])
    defer { caller.end() }
    return try caller.readLine()
  }
}
