import Foundation
import IorunContent
import IorunCore
import Testing

@testable import IorunHead

@Suite("ContentDesk")
struct ContentDeskTests {
  private static let gibibyte: Int64 = 1 << 30

  @Test(
    "a chunk that would touch the reserve is refused: 1 GiB, or 5 % of a small disk",
    arguments: [
      (total: 100 * gibibyte, free: gibibyte + 5, fits: true),
      (total: 100 * gibibyte, free: gibibyte + 4, fits: false),
      (total: 2_000_000, free: 100_005, fits: true), (total: 2_000_000, free: 100_004, fits: false),
    ])
  func reserve(total: Int64, free: Int64, fits: Bool) async throws {
    let folder = NSTemporaryDirectory() + "iorun-content-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let peer = PeerRecord(
      id: .sample(1), publicKey: sampleKey(1), role: .buyer, name: "b", certificate: [],
      admittedAt: 1)
    let desk = ContentDesk(
      chunks: try ChunkStore(folder: folder),
      authoriser: Authoriser(peers: PeerDirectory(peers: [peer], tickets: [])),
      reserve: DiskReserve(most: HeadOptions().reservedDisk) { .init(total: total, free: free) })
    if fits {
      let digest = try await desk.put(Data("hello".utf8), caller: peer.id)
      #expect(try await desk.get(digest, caller: peer.id) == Data("hello".utf8))
    } else {
      await expect(throwsCode: .diskFull) {
        try await desk.put(Data("hello".utf8), caller: peer.id)
      }
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == ["corrupt", "tmp"])
    }
  }

  @Test("the head asks the file system that holds its chunks")
  func realDisk() throws {
    let space = try #require(DiskReserve(most: 0, folder: NSTemporaryDirectory()).look())
    #expect(space.total > 0 && space.free >= 0 && space.free <= space.total)
    #expect(DiskReserve(most: 0, folder: "/no such folder").look() == nil)
  }
}
