import CTunnel
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct OffloadTests {
  private func vnet(isSix: Bool, isTCP: Bool = true, size: Int) -> ct_vnet {
    let header = isSix ? 40 : 20
    return ct_vnet(
      flags: 1, gso_type: isTCP ? (isSix ? 4 : 1) : 5,
      header_length: UInt16(header + (isTCP ? 32 : 8)), gso_size: UInt16(size),
      checksum_start: UInt16(header), checksum_offset: isTCP ? 16 : 6)
  }

  @Test(
    "a large packet is cut up, each piece sound, and put together again", arguments: [false, true])
  func roundTrip(isSix: Bool) throws {
    var dice = SeededGenerator(seed: 11)
    for count in [1, 1327, 1328, 1329, 20_000, 65_000] {
      let payload = dice.bytes(count)
      let packet = Offload.packet(isSix: isSix, payload: payload, flags: 0x18)
      let pieces = try #require(Offload.segments(packet, vnet(isSix: isSix, size: 1328)))
      #expect(pieces.count == (count + 1327) / 1328)
      #expect(pieces.allSatisfy(Offload.isSound))
      let header = isSix ? 72 : 52
      #expect(pieces.flatMap { $0.dropFirst(header) } == payload)
      // PSH stands on the last one only.
      #expect(pieces.dropLast().allSatisfy { $0[header - 32 + 13] == 0x10 })
      #expect(pieces.last?[header - 32 + 13] == 0x18)

      let written = Offload.coalesced(pieces)
      #expect(written.count == 1)
      let whole = try #require(written.first)
      if pieces.count > 1 {
        #expect(whole.packet == packet, "to the last bit, pseudo-header's sum included")
        #expect(whole.vnet.gso_size == 1328 && whole.vnet.gso_type == (isSix ? 4 : 1))
      } else {
        #expect(whole.vnet.flags == 0 && Offload.isSound(whole.packet))
      }
    }
  }

  @Test("a large UDP packet becomes datagrams of its segment size", arguments: [false, true])
  func datagrams(isSix: Bool) throws {
    let payload = SeededGenerator(seed: 12).copyBytes(5000)
    let packet = Offload.packet(isSix: isSix, isTCP: false, payload: payload)
    let pieces = try #require(
      Offload.segments(packet, vnet(isSix: isSix, isTCP: false, size: 1200)))
    #expect(pieces.map { $0.count - (isSix ? 48 : 28) } == [1200, 1200, 1200, 1200, 200])
    #expect(pieces.allSatisfy(Offload.isSound))
  }

  @Test("a checksum left to the hardware is completed", arguments: [false, true])
  func checksum(isSix: Bool) throws {
    for count in [1, 2, 777, 1300] {
      let packet = Offload.packet(
        isSix: isSix, payload: SeededGenerator(seed: 13).copyBytes(count))
      var header = vnet(isSix: isSix, size: 0)
      header.gso_type = 0
      let pieces = try #require(Offload.segments(packet, header))
      #expect(pieces.count == 1 && pieces.allSatisfy(Offload.isSound))
    }
  }

  @Test("only what continues a stream is put together, and its order stays")
  func breaks() throws {
    func part(_ sequence: UInt32, _ count: Int = 100, flags: UInt8 = 0x10) throws -> [UInt8] {
      let packet = Offload.packet(
        isSix: false, payload: [UInt8](repeating: UInt8(sequence & 255), count: count),
        sequence: sequence, flags: flags)
      var header = vnet(isSix: false, size: 0)
      header.gso_type = 0
      return try #require(Offload.segments(packet, header)?.first)
    }
    func lengths(_ packets: [[UInt8]]) -> [Int] {
      Offload.coalesced(packets).map { $0.packet.count - 52 }
    }
    #expect(try lengths([part(1), part(101), part(201)]) == [300])
    #expect(try lengths([part(1), part(201), part(301)]) == [100, 200], "a gap")
    #expect(try lengths([part(1), part(101, 50), part(151)]) == [150, 100], "a short one ends it")
    #expect(
      try lengths([part(1), part(101, flags: 0x18), part(201)]) == [200, 100], "PSH ends it")
    #expect(try lengths([part(1), part(101, flags: 0x11)]) == [100, 100], "FIN stands alone")
    #expect(try lengths([part(1), part(101, 200)]) == [100, 200], "a longer one begins anew")
    var other = try part(101)
    other[8] = 63  // another TTL, with the header's checksum wrong
    #expect(try lengths([part(1), other]) == [100, 100])
    var wrong = try part(101)
    wrong[60] ^= 1
    #expect(try lengths([part(1), wrong]) == [100, 100], "a wrong checksum stays visible")
    let count = try Offload.coalesced((0..<100).map { try part(1 + 100 * $0) }, batch: 100)
    #expect(count.map { $0.packet.count - 52 }.reduce(0, +) == 10_000)
    #expect(count.allSatisfy { $0.packet.count < 65_536 })
  }

  @Test("streams that come mixed are put together each for itself")
  func streams() throws {
    var packets: [[UInt8]] = []
    for step in 0..<5 {
      for port in 0..<4 {
        var packet = Offload.packet(
          isSix: true, payload: [UInt8](repeating: UInt8(port), count: 200),
          sequence: UInt32(1 + 200 * step))
        packet[41] = UInt8(port)
        let sum = Offload.checksum(Offload.pseudoHeader(packet, 40, 6))
        packet[56] = UInt8(sum >> 8)
        packet[57] = UInt8(sum & 255)
        var header = vnet(isSix: true, size: 0)
        header.gso_type = 0
        packets.append(try #require(Offload.segments(packet, header)?.first))
      }
    }
    let written = Offload.coalesced(packets)
    #expect(written.map { $0.packet.count - 72 } == [1000, 1000, 1000, 1000])
  }

  @Test("random bytes and headers are refused or passed on, and nothing is read beyond them")
  func fuzz() {
    var dice = SeededGenerator(seed: 14)
    for round in 0..<4000 {
      var packet =
        round % 2 == 0
        ? dice.bytes(Int.random(in: 0...200, using: &dice))
        : Offload.packet(
          isSix: round % 4 == 1, payload: dice.bytes(Int.random(in: 1...300, using: &dice)))
      for _ in 0..<Int.random(in: 0...3, using: &dice) where !packet.isEmpty {
        packet[Int.random(in: 0..<packet.count, using: &dice)] = UInt8(dice.next() & 255)
      }
      let header = ct_vnet(
        flags: UInt8(dice.next() & 1), gso_type: [0, 1, 4, 5, 3, 0x81][round % 6],
        header_length: UInt16(dice.next() & 127), gso_size: UInt16(dice.next() & 127),
        checksum_start: UInt16([20, 40, Int(dice.next() & 255)][round % 3]),
        checksum_offset: UInt16([6, 16, Int(dice.next() & 63)][round % 3]))
      if let pieces = Offload.segments(packet, header) {
        #expect(pieces.count <= 300)
      }
      if packet.count >= 20, packet[0] >> 4 == 4 || packet[0] >> 4 == 6 && packet.count >= 40 {
        let written = Offload.coalesced([packet, packet])
        #expect((1...2).contains(written.count))
      }
    }
  }
}

extension SeededGenerator {
  /// Bytes of a generator that nobody else uses.
  fileprivate func copyBytes(_ count: Int) -> [UInt8] {
    var copy = self
    return copy.bytes(count)
  }
}
