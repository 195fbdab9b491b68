import Glibc
import IorunCore
import Testing

@testable import IorunTunnel

@Suite(.enabled(if: Rights.canMakeNamespaces, "\(Rights.needed)"), .serialized)
struct `Network namespaces` {
  @Test func `begin with a loopback interface that is down, and no other`() throws {
    let space = try NetworkNamespace()
    let links = try RouteSocket(in: space).links()
    // Some kernels put inactive tunnel interfaces into every namespace.
    #expect(links.contains { $0.name == "lo" && !$0.isUp })
    #expect(!links.contains { $0.isUp })
    #expect(space.number != 0)
  }

  @Test func `are joined by a wire, with addresses and routes`() throws {
    let (one, other) = (try NetworkNamespace(), try NetworkNamespace())
    let routes = try RouteSocket(in: one)
    try routes.makePair("wire0", peer: "wire1", in: other)
    for (space, name, host) in [(one, "wire0", 1), (other, "wire1", 2)] as [(_, String, Int)] {
      let socket = try RouteSocket(in: space)
      let link = try socket.link(name)
      #expect(link.kind == "veth")
      try socket.addAddress(try prefix("10.9.8.\(host)/24"), to: link)
      try socket.addAddress(try prefix("fd09::\(host)/64"), to: link)
      try socket.bringUp(link, mtu: 1400)
    }
    let link = try routes.link("wire0")
    #expect(link.isUp && link.mtu == 1400)
    try routes.addRoute(to: try prefix("192.0.2.0/24"), through: link)
    #expect(try routes.addresses().contains(try prefix("10.9.8.1/24")))
    #expect(
      Set(try routes.routes()).isSuperset(of: [
        try prefix("10.9.8.0/24"), try prefix("192.0.2.0/24"), try prefix("fd09::/64"),
      ]))
    #expect(try Reach.tcp("10.9.8.2", from: one, to: other, within: 10))
    #expect(try Reach.tcp("fd09::2", from: one, to: other, within: 10))
    try routes.remove(link)
    #expect(throws: IorunError.self) { try RouteSocket(in: other).link("wire1") }
  }

  @Test func `give an interface away under another name`() throws {
    let (one, other) = (try NetworkNamespace(), try NetworkNamespace())
    let routes = try RouteSocket(in: one)
    try routes.makePair("wire0", peer: "wire1", in: one)
    try routes.move(try routes.link("wire1"), to: other, as: "iorun0")
    #expect(try RouteSocket(in: other).link("iorun0").kind == "veth")
  }

  @Test func `are gone when nobody holds them`() throws {
    let number = try NetworkNamespace().number
    let again = try NetworkNamespace()
    #expect(number != again.number || number != 0)
    // What a namespace held open shows in this process's descriptors.
    let open = try Descriptors.namespaces()
    #expect(!open.contains(number) || number == again.number)
  }

  @Test func `say what the kernel refuses`() throws {
    let routes = try RouteSocket(in: try NetworkNamespace())
    #expect(throws: IorunError.self) { try routes.makeLink("x", kind: "nonsense") }
    #expect(throws: IorunError.self) { try routes.makeLink("far too long a name", kind: "veth") }
    do {
      try routes.makeLink("x", kind: "nonsense")
    } catch {
      #expect(error.code == .networkSetup && error.remedy != nil)
    }
  }

  private func prefix(_ text: String) throws -> IPPrefix { try #require(IPPrefix(text)) }
}

enum Descriptors {
  /// The numbers of the network namespaces that this process holds open.
  static func namespaces() throws -> Set<UInt64> {
    var numbers: Set<UInt64> = []
    for descriptor in 0..<Int32(1024) {
      var path = [CChar](repeating: 0, count: 64)
      guard readlink("/proc/self/fd/\(descriptor)", &path, 63) > 0 else { continue }
      let text = String(
        decoding: path.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      guard text.hasPrefix("net:["), let number = UInt64(text.dropFirst(5).dropLast()) else {
        continue
      }
      numbers.insert(number)
    }
    return numbers
  }
}
