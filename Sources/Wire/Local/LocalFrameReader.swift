internal import IorunCore

/// One frame in a reader's buffer. `body` is valid until the reader is given more bytes.
public struct LocalFrame {
  /// What it is.
  public let header: LocalHeader
  /// What follows the header.
  public let body: UnsafeRawBufferPointer

  /// Describes a frame that lies elsewhere, such as within a parcel.
  public init(header: LocalHeader, body: UnsafeRawBufferPointer) {
    self.header = header
    self.body = body
  }
}

/// Cuts a stream into frames. Not thread-safe: belongs to whoever reads the socket.
///
/// Hot path: bytes are read straight into the buffer and frames are handed out in place; only what
/// is left of an incomplete frame is moved.
public final class LocalFrameReader {
  /// How many bytes one read asks for; also what the buffer shrinks to.
  public static let readBytes = 256 * 1024

  private var space: UnsafeMutableRawBufferPointer
  /// Unread bytes are `start..<end`.
  private var start = 0
  private var end = 0

  /// An empty reader.
  public init(capacity: Int = 16 * 1024) {
    space = .allocate(byteCount: max(capacity, LocalHeader.byteCount), alignment: 16)
  }

  deinit { space.deallocate() }

  /// How many bytes were read that no frame was handed out of.
  public var pendingBytes: Int { end - start }

  /// Room to read into; `commit` says how much of it was filled. Frames handed out before are gone.
  public func room() -> UnsafeMutableRawBufferPointer {
    if start == end {
      start = 0
      end = 0
      // A buffer that grew for one large frame does not stay that large.
      if space.count > 4 * Self.readBytes { move(to: Self.readBytes) }
    }
    let needed = wanted
    if space.count - start < needed || end == space.count {
      // Beyond `readBytes` only for a frame that needs it, or where nobody takes frames out.
      let isFull = start == 0 && end == space.count
      let doubled = isFull ? space.count * 2 : min(space.count * 2, Self.readBytes)
      let capacity = max(needed, doubled)
      if capacity > space.count {
        move(to: capacity)
      } else {
        slide()
      }
    }
    return UnsafeMutableRawBufferPointer(rebasing: space[end...])
  }

  /// `count` bytes of the room were filled.
  public func commit(_ count: Int) {
    precondition(count >= 0 && end + count <= space.count)
    end += count
  }

  /// Copies bytes in; for tests and for streams that are no sockets.
  public func append(_ bytes: UnsafeRawBufferPointer) {
    var rest = bytes
    while !rest.isEmpty {
      let room = room()
      let count = min(room.count, rest.count)
      room.copyMemory(from: UnsafeRawBufferPointer(rebasing: rest.prefix(count)))
      commit(count)
      rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
    }
  }

  /// The next whole frame; `nil` until more bytes come.
  ///
  /// - Throws: `malformed` or `tooLarge`: the stream cannot be read on.
  public func next() throws -> LocalFrame? {
    let available = UnsafeRawBufferPointer(rebasing: space[start..<end])
    guard available.count >= LocalHeader.byteCount else { return nil }
    let header = try LocalHeader(available)
    let count = LocalHeader.byteCount + header.bodyCount
    guard available.count >= count else { return nil }
    start += count
    return LocalFrame(
      header: header,
      body: UnsafeRawBufferPointer(rebasing: available[LocalHeader.byteCount..<count]))
  }

  /// How many bytes the frame at the start needs in all; a header where it is not known yet. A
  /// length that is out of bounds is told by `next`, not here.
  private var wanted: Int {
    let available = UnsafeRawBufferPointer(rebasing: space[start..<end])
    guard available.count >= LocalHeader.byteCount,
      let header = try? LocalHeader(available)
    else { return LocalHeader.byteCount }
    return LocalHeader.byteCount + header.bodyCount
  }

  private func slide() {
    space.copyMemory(from: UnsafeRawBufferPointer(rebasing: space[start..<end]))
    end -= start
    start = 0
  }

  private func move(to capacity: Int) {
    let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 16)
    larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: space[start..<end]))
    space.deallocate()
    space = larger
    end -= start
    start = 0
  }
}
