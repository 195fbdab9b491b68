internal import Foundation
internal import IorunCore

/// Keeps room on the head's disk that chunks must not take, so that the database can still commit
/// what nodes report while uploads are refused.
struct DiskReserve: Sendable {
  /// A file system's size and what is free of it, in bytes.
  struct Space: Sendable, Hashable {
    var total: Int64
    var free: Int64
  }

  /// The most bytes that are kept free; of a small disk 5 %.
  let most: Int64
  /// Looks at the file system; `nil` where that cannot be told. Blocks.
  let look: @Sendable () -> Space?

  /// The reserve of the file system that holds `folder`.
  init(most: Int64, folder: String) {
    self.init(most: most) { Self.space(at: folder) }
  }

  init(most: Int64, look: @escaping @Sendable () -> Space?) {
    self.most = most
    self.look = look
  }

  /// Throws `diskFull` where `count` more bytes would touch the reserve. Blocks.
  func check(adding count: Int) throws {
    guard let space = look() else { return }
    let reserve = min(most, space.total / 20)
    guard space.free - Int64(count) >= reserve else {
      throw IorunError(
        .diskFull, "there is no room left for content on the head's disk",
        remedy: "Free some space there: \(Bytes(UInt64(clamping: reserve))) are kept for the head")
    }
  }

  private static func space(at folder: String) -> Space? {
    var result = statvfs()
    guard statvfs(folder, &result) == 0 else { return nil }
    return Space(
      total: Int64(clamping: result.f_blocks &* result.f_frsize),
      free: Int64(clamping: result.f_bavail &* result.f_frsize))
  }
}
