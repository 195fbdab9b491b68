internal import CSCTP
internal import IorunCore
internal import IorunCrypto
internal import Synchronization

/// Seals the datagrams of associations between two disco keys, so that neither a stranger nor a relay
/// gets a byte to the code that reads SCTP, or can end an association by a word of its own.
///
/// On the wire: `0x9B`, 8 bytes that name the pair, 8 bytes of counter, the sealed packet. Keys are
/// HKDF-SHA256 of the X25519 secret, one for each direction. Disco keys are drawn by each process, and
/// one counter serves all of a process's seals, so no nonce comes twice under a key. What is replayed
/// is to SCTP a datagram that came twice.
final class AssociationSeal: Sendable {
  /// The first byte of a sealed datagram.
  static let firstByte: UInt8 = 0x9B
  /// How many bytes longer than its packet a datagram is.
  static let overhead = iorun_seal_header_bytes + iorun_seal_tag_bytes
  private static let nameByteCount = 8
  private static let counter = Atomic<UInt64>(0)

  /// The pair's name as the other end writes it: tells whose datagram has come.
  let inboundName: UInt64
  private let outboundName: UInt64
  // The object in C has a lock for each direction, and is freed with this one.
  private nonisolated(unsafe) let seal: OpaquePointer

  /// Makes the seal of one end.
  ///
  /// - Throws: `malformed` for an unusable key, `internalFault` where OpenSSL fails.
  init(own: X25519, peer: [UInt8], context: [UInt8]) throws {
    let secret = try own.agree(with: peer)
    func derive(from: [UInt8], to: [UInt8]) throws -> (key: [UInt8], name: UInt64) {
      let bytes = try HKDF.derive(
        secret, salt: context, info: Array("iorun association 1".utf8) + from + to,
        byteCount: ChaCha20Poly1305.keyByteCount + Self.nameByteCount)
      return (
        Array(bytes.prefix(32)), bytes.suffix(Self.nameByteCount).reduce(0) { $0 << 8 | UInt64($1) }
      )
    }
    let out = try derive(from: own.publicKey, to: peer)
    let back = try derive(from: peer, to: own.publicKey)
    (outboundName, inboundName) = (out.name, back.name)
    guard let seal = iorun_seal_create(out.key, back.key) else {
      throw IorunError(.internalFault, "a seal of a path could not be made: out of memory")
    }
    self.seal = seal
  }

  deinit { iorun_seal_free(seal) }

  /// The datagram of a packet after `header`; `nil` where OpenSSL fails.
  func close(_ packet: UnsafeRawBufferPointer, after header: [UInt8]) -> [UInt8]? {
    var isClosed = false
    let count = header.count + packet.count + Self.overhead
    let datagram = [UInt8](unsafeUninitializedCapacity: count) { out, filled in
      guard let base = out.baseAddress else { return }
      for (index, byte) in header.enumerated() { base[index] = byte }
      let start = base + header.count
      start[0] = Self.firstByte
      let counter = Self.counter.wrappingAdd(1, ordering: .relaxed).newValue
      for index in 0..<8 {
        start[1 + index] = UInt8(truncatingIfNeeded: outboundName >> (56 - 8 * UInt64(index)))
        start[9 + index] = UInt8(truncatingIfNeeded: counter >> (56 - 8 * UInt64(index)))
      }
      isClosed = iorun_seal_close(seal, start, packet.baseAddress, packet.count) == 0
      filled = count
    }
    return isClosed ? datagram : nil
  }

  /// The packet in a datagram of the other end; `nil` for any other.
  func open(_ datagram: ArraySlice<UInt8>) -> [UInt8]? {
    guard datagram.count > Self.overhead else { return nil }
    let packet = [UInt8](unsafeUninitializedCapacity: datagram.count) { out, filled in
      let count = datagram.withUnsafeBufferPointer {
        iorun_seal_open(seal, $0.baseAddress, $0.count, out.baseAddress)
      }
      filled = max(count, 0)
    }
    return packet.isEmpty ? nil : packet
  }

  /// The name in a datagram; `nil` where it is none of these.
  static func name(in datagram: ArraySlice<UInt8>) -> UInt64? {
    guard datagram.first == firstByte, datagram.count > overhead else { return nil }
    return datagram.dropFirst().prefix(nameByteCount).reduce(0) { $0 << 8 | UInt64($1) }
  }
}
