public import IorunCore

extension Blob {
  /// How many chunks `size` bytes have.
  public static func chunkCount(of size: Bytes) -> UInt64 {
    let chunk = UInt64(chunkSize)
    return size.rawValue / chunk + (size.rawValue % chunk == 0 ? 0 : 1)
  }

  /// The bytes of the chunk at `index`: `chunkSize`, but for the last one.
  public func length(ofChunkAt index: Int) -> Int {
    guard index == chunks.count - 1 else { return Self.chunkSize }
    let rest = Int(size.rawValue % UInt64(Self.chunkSize))
    return rest == 0 ? Self.chunkSize : rest
  }

  /// Refuses, as `malformed`, a blob that is larger than `maximum` or whose number of chunks does
  /// not follow from its size.
  public func check(maximum: Bytes) throws {
    guard size <= maximum else {
      throw IorunError(.malformed, "content of \(size) is larger than the \(maximum) allowed")
    }
    guard Self.chunkCount(of: size) == UInt64(chunks.count) else {
      throw IorunError(.malformed, "content of \(size) cannot have \(chunks.count) chunks")
    }
  }
}
