internal import Foundation
internal import IorunCore
internal import IorunCrypto

/// Cuts content into chunks of ``Blob/chunkSize`` bytes and names each by its digest. A file is
/// never in memory as a whole.
public enum Chunker {
  /// The blob of bytes in memory.
  public static func blob(of bytes: [UInt8]) -> Blob {
    Blob(size: Bytes(UInt64(bytes.count)), chunks: ranges(of: bytes).map { digest(bytes[$0]) })
  }

  /// Bytes cut as `blob(of:)` cuts them.
  public static func chunks(of bytes: [UInt8]) -> [[UInt8]] {
    ranges(of: bytes).map { Array(bytes[$0]) }
  }

  /// The blob of the regular file at `path`; follows symbolic links. May block on the disk.
  public static func blob(ofFile path: String) throws -> Blob {
    try blob(of: OpenFile(path, O_RDONLY), maximum: Bytes(.max))
  }

  /// The blob of an open file, from where its last read ended. Throws `specInvalid` once it turns
  /// out larger than `maximum`, so that a file that grows under us has an end.
  static func blob(of file: borrowing OpenFile, maximum: Bytes) throws -> Blob {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Blob.chunkSize, alignment: 64)
    defer { buffer.deallocate() }
    var blob = Blob(size: .zero, chunks: [])
    while true {
      let count = try file.read(into: buffer)
      if count == 0 { return blob }
      blob.size = blob.size + Bytes(UInt64(count))
      guard blob.size <= maximum else {
        throw IorunError(
          .specInvalid, "'\(file.path)' makes the folder larger than \(ContentLimits.folderSize)",
          remedy: "Remove it, or list it in .iorunignore and fetch it from inside the job")
      }
      blob.chunks.append(SHA256.digest(of: UnsafeRawBufferPointer(rebasing: buffer[..<count])))
      if count < buffer.count { return blob }
    }
  }

  private static func digest(_ slice: ArraySlice<UInt8>) -> Digest {
    SHA256.digest(of: slice)
  }

  private static func ranges(of bytes: [UInt8]) -> [Range<Int>] {
    stride(from: 0, to: bytes.count, by: Blob.chunkSize).map {
      $0..<min($0 + Blob.chunkSize, bytes.count)
    }
  }
}
