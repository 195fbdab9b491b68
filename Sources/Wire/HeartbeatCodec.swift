/// Heartbeats of links, read and written without taking memory: a head with thousands of peers does
/// little else. The bytes are those that `FrameCodec` writes and reads.
public enum HeartbeatCodec {
  /// Room for any message that holds one heartbeat.
  public static let messageRoom = 4 + 2 + 11
  /// Fields 4 and 5 of `Frame`, with a length.
  private static let pingTag: UInt8 = 0x22
  private static let pongTag: UInt8 = 0x2a
  /// Field 1 of `LinkProbe`.
  private static let tokenTag: UInt8 = 0x08

  /// The token of a message that is one `ping`; `nil` for any other, which is left to `FrameCodec`.
  public static func ping(_ message: UnsafeRawBufferPointer) -> UInt64? {
    guard (6...messageRoom).contains(message.count) else { return nil }
    let length = UInt32(
      bigEndian: message.loadUnaligned(fromByteOffset: 0, as: UInt32.self))
    guard Int(length) == message.count - 4 else { return nil }
    var reader = ProtobufReader(UnsafeRawBufferPointer(rebasing: message[4...]))
    guard reader.byte() == pingTag, reader.varint() == UInt64(reader.left) else { return nil }
    // 0 is left out, as proto3 has it.
    if reader.left == 0 { return 0 }
    guard reader.byte() == tokenTag, let token = reader.varint(), reader.left == 0 else {
      return nil
    }
    return token
  }

  /// The message that is one `pong`, for the call only.
  public static func withPong<Result>(
    token: UInt64, _ body: (UnsafeRawBufferPointer) -> Result
  ) -> Result {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: messageRoom) { room in
      let probeBytes = token == 0 ? 0 : 1 + ProtobufWriter.size(of: token)
      var writer = ProtobufWriter(room, from: 0)
      for _ in 0..<3 { writer.write(0) }
      writer.write(UInt8(2 + probeBytes))
      writer.write(pongTag)
      writer.write(UInt8(probeBytes))
      writer.write(number: token, tag: tokenTag)
      return body(
        UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[..<writer.position]))
    }
  }
}
