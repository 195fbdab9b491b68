import IorunCore
import TestSupport
import Testing

@testable import IorunTunnel

@Suite struct `Netlink messages` {
  @Test func `have the kernel's form, padded to four bytes`() throws {
    var message = NetlinkMessage(type: 16, flags: NetlinkFlags.create)
    message.append(UInt32(7))
    message.attribute(3, text: "eth0")
    message.nest(18) { $0.attribute(1, [9]) }
    let bytes = try message.encoded(sequence: 5, extraFlags: NetlinkFlags.acknowledge)
    #expect(
      bytes == [
        44, 0, 0, 0, 16, 0, 5, 4, 5, 0, 0, 0, 0, 0, 0, 0,  // header
        7, 0, 0, 0,
        9, 0, 3, 0, 101, 116, 104, 48, 0, 0, 0, 0,  // "eth0" and its zero byte
        12, 0, 18, 128, 5, 0, 1, 0, 9, 0, 0, 0,
      ])
  }

  @Test func `whose attribute is longer than its length can say are refused`() {
    var message = NetlinkMessage(type: 1)
    message.nest(1) { $0.attribute(1, [UInt8](repeating: 0, count: 70_000)) }
    #expect(throws: IorunError.self) { try message.encoded(sequence: 1, extraFlags: 0) }
  }

  @Test func `of any bytes are read without a fault, in bounded time`() throws {
    var random = SeededGenerator(seed: 20_261_128)
    var message = NetlinkMessage(type: 16)
    message.append(UInt64(1))
    message.attribute(3, text: "eth0")
    message.nest(18) { $0.attribute(1, text: "veth") }
    let good = try message.encoded(sequence: 1, extraFlags: 0)
    for _ in 0..<20_000 {
      var bytes = good
      for _ in 0..<Int.random(in: 1...6, using: &random) {
        bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(
          in: 0...255, using: &random)
      }
      bytes = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random)))
      for reply in (try? NetlinkReply.split(bytes)) ?? [] {
        let list = reply.attributes(after: 8).list
        #expect(list.reduce(0) { $0 + $1.value.count } <= bytes.count)
        _ = reply.errorNumber
        _ = KernelWireGuardCodec.counters([reply.attributes(after: 4)], now: 0)
      }
    }
  }
}
