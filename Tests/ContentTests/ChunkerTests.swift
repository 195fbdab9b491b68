import IorunContent
import IorunCore
import Testing

@Suite("Chunker")
struct ChunkerTests {
  @Test(
    "cuts at the chunk size, and a file as it cuts memory",
    arguments: [0, 1, Blob.chunkSize - 1, Blob.chunkSize, Blob.chunkSize + 1, 3 * Blob.chunkSize])
  func sizes(count: Int) throws {
    let folder = try TemporaryFolder()
    let bytes = pattern(count)
    try folder.write(bytes, to: "file")
    let blob = Chunker.blob(of: bytes)
    #expect(try Chunker.blob(ofFile: folder.path + "/file") == blob)
    #expect(blob.size == Bytes(UInt64(count)))
    #expect(blob.chunks.count == (count + Blob.chunkSize - 1) / Blob.chunkSize)
    #expect(Chunker.chunks(of: bytes).flatMap(\.self) == bytes)
    try blob.check(maximum: Bytes(UInt64(count)))
  }

  @Test("a blob whose chunks do not fit its size, or that is too large, is refused")
  func check() {
    var blob = Chunker.blob(of: pattern(Blob.chunkSize + 5))
    #expect(throws: IorunError.self) { try blob.check(maximum: Bytes(10)) }
    blob.size = Bytes(5)
    #expect(throws: IorunError.self) { try blob.check(maximum: .gibi(1)) }
    blob.size = Bytes(.max)
    #expect(throws: IorunError.self) { try blob.check(maximum: Bytes(.max)) }
  }
}
