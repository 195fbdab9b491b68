import Foundation
import IorunCore
import IorunSandbox

/// Scratch of each kind that works here beside a folder of the disk under it.
struct ScratchBenchmark {
  let lab: Lab
  let mebibytes: Int

  private static let rounds = 3
  private static let smallFiles = 2000

  private struct Times {
    var write: [Double] = []
    var read: [Double] = []
    var small: [Double] = []
  }

  func run() async throws -> [Figure] {
    var times: [(name: String, times: Times)] = []
    let backends: [any EncryptedScratch] = [DMCryptScratch(), GocryptfsScratch(), MemoryScratch()]
    for round in 0..<Self.rounds {
      for index in -1..<backends.count {
        let backend = index < 0 ? nil : backends[index]
        let name = backend?.kind.rawValue ?? "plain ext4"
        let new = try await Blocking.run { () -> (Double, Double, Double)? in
          guard let backend else {
            let folder = lab.folder + "/plain"
            try FileManager.default.createDirectory(
              atPath: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: folder) }
            return try measure(folder)
          }
          let pool = try lab.pool("throughput", backends: [backend])
          guard pool.backend != nil else { return nil }
          let room = Bytes.mebi(UInt64(mebibytes * 2 + 512))
          let scratch = try pool.open("round-\(round)", size: room)
          let result = Result { try measure(scratch.path) }
          try scratch.close()
          return try result.get()
        }
        guard let new else { continue }
        if round == 0 { times.append((name, Times())) }
        guard let place = times.firstIndex(where: { $0.name == name }) else { continue }
        times[place].times.write.append(new.0)
        times[place].times.read.append(new.1)
        times[place].times.small.append(new.2)
      }
    }
    return times.flatMap { name, times in
      [
        Figure("scratch: \(name), write and fsync", times.write, unit: "MiB/s"),
        Figure("scratch: \(name), read", times.read, unit: "MiB/s"),
        Figure("scratch: \(name), \(Self.smallFiles) files of 4 KiB", times.small, unit: "s"),
      ]
    }
  }

  private func measure(_ folder: String) throws -> (write: Double, read: Double, small: Double) {
    // Bytes that do not compress.
    var generator = SystemRandomNumberGenerator()
    let piece = (0..<1 << 17).flatMap { _ in
      withUnsafeBytes(of: generator.next()) { Array($0) }
    }
    let path = folder + "/large"
    let writing = ContinuousClock.now
    do {
      let file = try OpenFile(path, O_CREAT | O_WRONLY)
      for _ in 0..<mebibytes { try file.write(piece) }
      try file.synchronize()
      posix_fadvise(file.descriptor, 0, 0, POSIX_FADV_DONTNEED)
    }
    let written = (ContinuousClock.now - writing) / .seconds(1)
    let reading = ContinuousClock.now
    do {
      let file = try OpenFile(path, O_RDONLY)
      while try file.read(upTo: piece.count).count == piece.count {}
    }
    let read = (ContinuousClock.now - reading) / .seconds(1)
    unlink(path)
    let small = ContinuousClock.now
    let content = Array(piece.prefix(4096))
    for number in 0..<Self.smallFiles {
      try OpenFile("\(folder)/small-\(number)", O_CREAT | O_WRONLY).write(content)
    }
    try BareProcess(["/bin/sync", "-f", folder]).end()
    for number in 0..<Self.smallFiles { unlink("\(folder)/small-\(number)") }
    return (
      Double(mebibytes) / written, Double(mebibytes) / read,
      (ContinuousClock.now - small) / .seconds(1)
    )
  }
}
