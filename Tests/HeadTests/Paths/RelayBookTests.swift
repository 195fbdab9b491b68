import IorunContract
import IorunCore
import IorunPath
import Testing

@testable import IorunHead

@Suite("Relays and their slots")
struct RelayBookTests {
  private let head = PeerID(high: 1, low: 1)
  private let near = PeerID(high: 2, low: 2)
  private let a = PeerID(high: 7, low: 0)
  private let b = PeerID(high: 8, low: 0)

  private func book() throws -> RelayBook {
    var book = RelayBook(firstSlot: RelayPass.lastSlot)
    try book.addOwn(head, port: 7070, streamPort: 7071, secret: [UInt8](repeating: 1, count: 32))
    return book
  }

  private func registration(bytes: [UInt32: UInt64] = [:]) -> RelayRegistration {
    RelayRegistration(
      name: "near", addresses: [SocketAddress(v4: 203, 0, 113, 9, port: 3478)], streamPort: 443,
      secret: [UInt8](repeating: 2, count: 32), bytes: bytes)
  }

  @Test("the two ends of a pair get one slot and different keys, whoever asks first")
  func legs() throws {
    var book = try book()
    let pair = RelayBook.Pair("job/1", b, a)
    let one = try #require(try book.pass(pair, for: a, relay: head, unixSeconds: 10))
    let other = try #require(try book.pass(pair, for: b, relay: head, unixSeconds: 10))
    #expect(one.pass.slot == other.pass.slot)
    #expect(one.pass.leg == .lower)
    #expect(other.pass.leg == .higher)
    #expect(one.pass.key != other.pass.key)
    let third = RelayBook.Pair("job/2", a, b)
    let next = try #require(try book.pass(third, for: a, relay: head, unixSeconds: 10))
    #expect(next.pass.slot != one.pass.slot)
    #expect(next.pass.slot <= RelayPass.lastSlot)
  }

  @Test("the relay on the shortest way from end to end is given")
  func shortest() throws {
    var book = try book()
    try book.add(registration(), of: near, now: .zero)
    #expect(book.best([:], [:], head: head) == head)
    let one = [head.description: 100.0, near.description: 5]
    #expect(book.best(one, [head.description: 10, near.description: 100], head: head) == near)
    #expect(book.best(one, [head.description: 1, near.description: 200], head: head) == head)
  }

  @Test("a relay that is silent is not given any more, the head's own always is")
  func silence() throws {
    var book = try book()
    try book.add(registration(), of: near, now: .zero)
    book.sweep(now: .seconds(15)) { _ in true }
    #expect(book.offers(head: head).map(\.id) == [head, near])
    book.sweep(now: .seconds(17)) { _ in true }
    #expect(book.offers(head: head).map(\.id) == [head])
  }

  @Test("a pair keeps its relay, whatever its ends measure meanwhile, until that is gone")
  func sticky() throws {
    var book = try book()
    try book.add(registration(), of: near, now: .zero)
    let pair = RelayBook.Pair("job/1", a, b)
    let fast = [head.description: 100.0, near.description: 5]
    let slow = [head.description: 5.0, near.description: 100]
    #expect(book.relay(of: pair, fast, fast, head: head) == near)
    #expect(book.relay(of: pair, slow, slow, head: head) == near, "the other end, later")
    book.sweep(now: .seconds(17)) { _ in true }
    #expect(book.relay(of: pair, fast, fast, head: head) == head)
    try book.add(registration(), of: near, now: .seconds(18))
    #expect(book.relay(of: pair, fast, fast, head: head) == head, "where the other end may be")
    book.sweep(now: .seconds(19)) { _ in false }
    #expect(book.relay(of: pair, fast, fast, head: head) == near, "what is over is forgotten")
  }

  @Test("what relays carried is counted for the gang, as long as it lives")
  func bytes() throws {
    var book = try book()
    let pair = RelayBook.Pair("job/1", a, b)
    let slot = try #require(try book.pass(pair, for: a, relay: head, unixSeconds: 0)).pass.slot
    try book.add(registration(bytes: [slot: 500, slot &+ 9: 7]), of: near, now: .zero)
    book.count([slot: .max])
    #expect(book.bytes == ["job/1": .max])
    book.sweep(now: .zero) { _ in false }
    #expect(book.bytes.isEmpty)
  }

  @Test("a relay without addresses, or with a short secret, is refused")
  func malformed() throws {
    var book = try book()
    var none = registration()
    none.addresses = []
    var short = registration()
    short.secret = [1]
    for bad in [none, short] {
      #expect(throws: IorunError.self) { try book.add(bad, of: near, now: .zero) }
    }
  }
}
