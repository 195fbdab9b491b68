import CTunnel

/// Packets as the kernel would make them, and C's two halves of offload.
enum Offload {
  /// A TCP or UDP packet; its checksum is the pseudo-header's, as for hardware that completes it.
  static func packet(
    isSix: Bool, isTCP: Bool = true, payload: [UInt8], sequence: UInt32 = 1, flags: UInt8 = 0x10
  ) -> [UInt8] {
    let transport: [UInt8]
    if isTCP {
      let number = (0..<4).map { UInt8(truncatingIfNeeded: sequence >> UInt32(24 - 8 * $0)) }
      // Ports, numbers, 32 bytes of header with a timestamp option, flags, window.
      transport =
        [0x12, 0x34, 0x00, 0x50] + number + [0, 0, 0, 9, 0x80, flags, 1, 0, 0, 0, 0, 0]
        + [1, 1, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6]
    } else {
      let length = UInt16(payload.count + 8)
      transport = [0x12, 0x34, 0, 53, UInt8(length >> 8), UInt8(length & 255), 0, 0]
    }
    let length = transport.count + payload.count
    func word(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 255), UInt8(value & 255)] }
    var header: [UInt8]
    if isSix {
      header = [0x60, 0, 0, 0] + word(length) + [isTCP ? 6 : 17, 64]
      header += [0xfd] + [UInt8](repeating: 0, count: 14) + [1]
      header += [0xfd] + [UInt8](repeating: 0, count: 14) + [2]
    } else {
      header = [0x45, 0] + word(length + 20) + [0, 1, 0x40, 0, 64, isTCP ? 6 : 17, 0, 0]
      header += [10, 0, 0, 1, 10, 0, 0, 2]
      let sum = ~checksum(header)
      header[10] = UInt8(truncatingIfNeeded: sum >> 8)
      header[11] = UInt8(truncatingIfNeeded: sum)
    }
    var packet = header + transport + payload
    let field = header.count + (isTCP ? 16 : 6)
    let sum = checksum(pseudoHeader(packet, header.count, isTCP ? 6 : 17))
    packet[field] = UInt8(sum >> 8)
    packet[field + 1] = UInt8(sum & 255)
    return packet
  }

  static func pseudoHeader(_ packet: [UInt8], _ header: Int, _ proto: UInt8) -> [UInt8] {
    let length = packet.count - header
    let addresses = header == 40 ? packet[8..<40] : packet[12..<20]
    return addresses + [0, 0, UInt8(length >> 8), UInt8(length & 255), 0, 0, 0, proto]
  }

  /// RFC 1071, the slow way.
  static func checksum(_ bytes: [UInt8], start: UInt32 = 0) -> UInt16 {
    var sum = start
    for index in stride(from: 0, to: bytes.count, by: 2) {
      sum += UInt32(bytes[index]) << 8 | (index + 1 < bytes.count ? UInt32(bytes[index + 1]) : 0)
      sum = sum & 0xffff + sum >> 16
    }
    return UInt16(sum & 0xffff + sum >> 16)
  }

  /// Whether all checksums of a packet are right.
  static func isSound(_ packet: [UInt8]) -> Bool {
    let header = packet[0] >> 4 == 6 ? 40 : 20
    let proto = header == 40 ? packet[6] : packet[9]
    let start = UInt32(checksum(pseudoHeader(packet, header, proto)))
    return checksum(Array(packet[header...]), start: start) == 0xffff
      && (header == 40 || checksum(Array(packet[..<20])) == 0xffff)
  }

  /// Cuts a packet up; `nil` where C refuses it.
  static func segments(_ packet: [UInt8], _ vnet: ct_vnet) -> [[UInt8]]? {
    var (segmenter, vnet) = (ct_segmenter(), vnet)
    return packet.withUnsafeBufferPointer { bytes -> [[UInt8]]? in
      guard ct_segmenter_begin(&segmenter, &vnet, bytes.baseAddress, bytes.count) == 0 else {
        return nil
      }
      var result: [[UInt8]] = []
      var out = [UInt8](repeating: 0, count: 66_000)
      while result.count < 70_000 {
        let count = ct_segmenter_next(&segmenter, &out, out.count)
        guard count > 0 else { break }
        result.append(Array(out.prefix(count)))
      }
      return result
    }
  }

  /// A packet that C wrote to the interface.
  struct Written {
    var vnet: ct_vnet
    var packet: [UInt8]
  }

  /// Puts packets together, flushing after every `batch` of them.
  static func coalesced(_ packets: [[UInt8]], batch: Int = 64) -> [Written] {
    final class Sink { var written: [Written] = [] }
    let sink = Sink()
    let coalescer = UnsafeMutablePointer<ct_coalescer>.allocate(capacity: 1)
    coalescer.initialize(to: ct_coalescer())
    defer { coalescer.deallocate() }
    coalescer.pointee.context = Unmanaged.passUnretained(sink).toOpaque()
    coalescer.pointee.write = { context, pieces, count in
      guard let context, let pieces else { return }
      let sink = Unmanaged<Sink>.fromOpaque(context).takeUnretainedValue()
      var bytes: [UInt8] = []
      for index in 1..<Int(count) {
        bytes += UnsafeRawBufferPointer(
          start: pieces[index].iov_base, count: pieces[index].iov_len)
      }
      let vnet = pieces[0].iov_base.loadUnaligned(as: ct_vnet.self)
      sink.written.append(Written(vnet: vnet, packet: bytes))
    }
    for start in stride(from: 0, to: packets.count, by: batch) {
      let some = packets[start..<min(start + batch, packets.count)]
      let buffers = some.map { packet -> UnsafeMutableBufferPointer<UInt8> in
        let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: packet.count)
        _ = buffer.initialize(from: packet)
        return buffer
      }
      for buffer in buffers { ct_coalescer_add(coalescer, buffer.baseAddress, buffer.count) }
      ct_coalescer_flush(coalescer)
      for buffer in buffers { buffer.deallocate() }
    }
    return withExtendedLifetime(sink) { sink.written }
  }
}
