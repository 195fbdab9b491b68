import Foundation
import IorunContent
import IorunContract
import IorunCore
import Synchronization
import Testing

@testable import IorunWorker

/// Programs and folders on their way from a driver's node to the others, through chunks in memory.
@Suite struct ProgramStoreTests {
  /// Counts questions.
  private final class Asked: Sendable {
    private let count = Mutex(0)
    var times: Int { count.withLock { $0 } }
    func once() { count.withLock { $0 += 1 } }
  }

  private let endpoint = MemoryEndpoint()
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func store(_ name: String) -> ProgramStore {
    ProgramStore(endpoint: endpoint, cache: nil, folder: "\(folder.path)/\(name)")
  }

  private func program(_ text: String) throws -> String {
    try folder.write(text, to: "app")
    chmod(folder.path + "/app", 0o755)
    return folder.path + "/app"
  }

  @Test func `a program comes as it was, executable, and once`() async throws {
    let text = "#!/bin/sh\n" + String(repeating: "# a long one\n", count: 50_000)
    let path = try program(text)
    let (here, there) = (store("here"), store("there"))
    let blob = try await here.offer(path)
    let puts = endpoint.putCount
    let copy = try await there.present(blob)
    #expect(try String(contentsOfFile: copy, encoding: .utf8) == text)
    #expect(access(copy, X_OK) == 0)
    // The same again moves nothing, whoever asks.
    #expect(try await here.offer(path) == blob)
    #expect(try await there.present(blob) == copy)
    #expect(endpoint.putCount == puts)
    // A node that was started again finds it on its disk.
    endpoint.forget(Set(blob.chunks))
    #expect(try await store("there").present(blob) == copy)
  }

  @Test func `a program that was built anew is another one`() async throws {
    let store = store("here")
    let first = try await store.offer(try program("#!/bin/sh\necho 1\n"))
    let second = try await store.offer(try program("#!/bin/sh\necho 1, later\n"))
    #expect(first != second)
  }

  @Test func `a program that is gone, or whose chunks are, is an error, and may be tried again`()
    async throws
  {
    let store = store("here")
    await #expect(throws: IorunError.self) { try await store.offer(folder.path + "/nothing") }
    let blob = try await store.offer(try program("#!/bin/sh\n"))
    let other = ProgramStore(
      endpoint: MemoryEndpoint(), cache: nil, folder: folder.path + "/other")
    await #expect(throws: IorunError.self) { try await other.present(blob) }
    let left = try? FileManager.default.contentsOfDirectory(atPath: folder.path + "/other")
    #expect(left?.isEmpty ?? true, "no half of a program is left behind")
    #expect(access(try await self.store("there").present(blob), X_OK) == 0)
  }

  @Test func `a folder comes whole, one copy for all who ask at once`() async throws {
    try folder.write(String(repeating: "data", count: 100_000), to: "work/data/large")
    try folder.write("#!/bin/sh\n", to: "work/run")
    chmod(folder.path + "/work/run", 0o755)
    let blob = try await store("here").offer(folder: folder.path + "/work", as: "hash")
    let there = store("there")
    let place = folder.path + "/copy"
    let asked = Asked()
    try await withThrowingDiscardingTaskGroup { group in
      for _ in 0..<8 {
        group.addTask {
          try await there.present(folderAt: place) {
            asked.once()
            return blob
          }
        }
      }
    }
    #expect(folder.read("copy/data/large") == folder.read("work/data/large"))
    #expect(access(place + "/run", X_OK) == 0)
    #expect(asked.times == 1)
    // It is there: nobody is asked.
    try await there.present(folderAt: place) { throw IorunError(.unreachable, "asked again") }
  }

  @Test func `a folder that cannot be had leaves nothing, and may be tried again`() async throws {
    let there = store("there")
    let place = folder.path + "/copy"
    await #expect(throws: IorunError.self) {
      try await there.present(folderAt: place) { throw IorunError(.unreachable, "gone") }
    }
    #expect(access(place, F_OK) != 0)
    try folder.write("x", to: "work/file")
    let blob = try await store("here").offer(folder: folder.path + "/work", as: "hash")
    try await there.present(folderAt: place) { blob }
    #expect(folder.read("copy/file") == "x")
  }

  @Test func `an environment's text says where its folder lies`() {
    let node = NodeID(high: 5, low: 6)
    let travels = #"{"env_vars":{},"working_dir":{"node":"\#(node)","path":"/work","stamp":"s"}}"#
    let folder = TravellingFolder(of: travels)
    #expect(folder?.node == node)
    #expect(folder?.path == "/work")
    for other in [
      "", "{", "[]", #"{"env_vars":{}}"#, #"{"working_dir":{"path":"/work","files":[]}}"#,
      #"{"working_dir":{"path":"work","node":"\#(node)"}}"#,
      #"{"working_dir":{"path":"/work","node":"5"}}"#, #"{"working_dir":{"node":"\#(node)"}}"#,
    ] {
      #expect(TravellingFolder(of: other) == nil, "\(other)")
    }
  }
}
