import Foundation
import IorunContent
import IorunCore
import Testing

@Suite("Chunk store")
struct ChunkStoreTests {
  let folder: TemporaryFolder
  let store: ChunkStore

  init() throws {
    folder = try TemporaryFolder()
    store = try ChunkStore(folder: folder.path + "/chunks")
  }

  func file(_ digest: Digest) -> String {
    "chunks/\(digest.description.prefix(2))/\(digest)"
  }

  @Test("what was put is got, also by a store opened later")
  func roundTrip() throws {
    let digest = try store.put(pattern(1000))
    #expect(store.contains(digest))
    #expect(try store.get(digest) == pattern(1000))
    #expect(try ChunkStore(folder: store.folder).get(digest) == pattern(1000))
    #expect(try store.put(pattern(1000)) == digest)
  }

  @Test("missing names what is not there, each once and in order")
  func missing() throws {
    let here = try store.put([1])
    let away = Chunker.blob(of: [2]).chunks[0]
    let gone = Chunker.blob(of: [3]).chunks[0]
    #expect(store.missing(of: [gone, here, away, gone]) == [gone, away])
  }

  @Test("a chunk that is not here is not found")
  func notFound() {
    let error = #expect(throws: IorunError.self) { try store.get(Chunker.blob(of: [9]).chunks[0]) }
    #expect(error?.code == .notFound)
  }

  @Test("a damaged chunk is put aside, counts as missing and can be put again")
  func damaged() throws {
    let digest = try store.put([1, 2, 3])
    try folder.write([1, 2, 4], to: file(digest))
    let error = #expect(throws: IorunError.self) { try store.get(digest) }
    #expect(error?.code == .notFound)
    #expect(store.missing(of: [digest]) == [digest])
    #expect(folder.exists("chunks/corrupt/\(digest)"))
    try store.put([1, 2, 3])
    #expect(try store.get(digest) == [1, 2, 3])
  }

  @Test("a chunk that was cut short is written again when it is put")
  func cutShort() throws {
    let digest = try store.put([1, 2, 3])
    try folder.write([UInt8](), to: file(digest))
    try store.put([1, 2, 3])
    #expect(try store.get(digest) == [1, 2, 3])
  }

  @Test("a chunk that is too large is refused")
  func tooLarge() throws {
    let error = #expect(throws: IorunError.self) { try store.put(pattern(Blob.chunkSize + 1)) }
    #expect(error?.code == .tooLarge)
  }

  @Test("opening removes half-written chunks, but not one that is being written")
  func leftovers() throws {
    try folder.write("half", to: "chunks/tmp/dead")
    try folder.write("half", to: "chunks/tmp/alive")
    let writer = try OpenFile(store.folder + "/tmp/alive", O_RDONLY)
    #expect(flock(writer.descriptor, LOCK_SH) == 0)
    _ = try ChunkStore(folder: store.folder)
    #expect(!folder.exists("chunks/tmp/dead"))
    #expect(folder.exists("chunks/tmp/alive"))
  }

  @Test("a store that cannot write says so and leaves nothing behind")
  func unwritable() throws {
    let digest = Chunker.blob(of: [5]).chunks[0]
    try folder.write("in the way", to: "chunks/\(digest.description.prefix(2))")
    #expect(throws: IorunError.self) { try store.put([5]) }
    #expect(try FileManager.default.contentsOfDirectory(atPath: store.folder + "/tmp") == [])
  }

  @Test("many threads may put the same chunks at once")
  func concurrent() throws {
    let store = store
    DispatchQueue.concurrentPerform(iterations: 64) { index in
      _ = try? store.put(pattern(100, seed: UInt64(index % 4)))
    }
    for seed in 0..<4 {
      let bytes = pattern(100, seed: UInt64(seed))
      #expect(try store.get(Chunker.blob(of: bytes).chunks[0]) == bytes)
    }
  }
}
