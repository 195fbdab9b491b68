import IorunContract
import IorunCore
import Testing

@Suite("The network of a gang, as a node is told of it")
struct OverlayNetworkTests {
  private func network(_ four: String, _ six: String) throws -> OverlayNetwork {
    OverlayNetwork(four: try #require(IPPrefix(four)), six: try #require(IPPrefix(six)))
  }

  @Test("gives each node the next address")
  func addresses() throws {
    let network = try network("100.64.9.0/24", "fd01:2:3:4::/64")
    try network.check(nodes: 254)
    #expect(network.four(of: 0).description == "100.64.9.1")
    #expect(network.four(of: 253).description == "100.64.9.254")
    #expect(network.six(of: 1).description == "fd01:2:3:4::2")
  }

  @Test(
    "is refused where it is not private or too small",
    arguments: [
      ("8.8.8.0/24", "fd01::/64", 2), ("192.168.1.0/24", "fd01::/64", 2),
      ("0.0.0.0/0", "fd01::/64", 2), ("100.0.0.0/8", "fd01::/64", 2),
      ("100.64.9.0/24", "2001:db8::/64", 2), ("100.64.9.0/24", "fd01::/48", 2),
      ("100.64.9.0/24", "fd01::/64", 255), ("100.64.9.0/24", "fd01::/64", 0),
      ("10.0.0.0/31", "fd01::/64", 1), ("fd01::/64", "fd01::/64", 1),
    ])
  func refused(_ four: String, _ six: String, _ nodes: Int) throws {
    let network = try network(four, six)
    #expect(throws: IorunError.self) { try network.check(nodes: nodes) }
  }

  @Test("with members that do not fit is refused")
  func members() throws {
    let seat = OverlaySeat(
      network: try network("10.1.2.0/24", "fd01::/64"), node: 1, nodeCount: 2)
    try seat.check()
    func member(_ number: UInt8, _ endpoints: [SocketAddress] = []) -> TunnelMember {
      TunnelMember(publicKey: [UInt8](repeating: number, count: 32), endpoints: endpoints)
    }
    let secret = [UInt8](repeating: 0, count: 32)
    let good = GangNetwork(
      presharedKey: secret, members: [member(1), member(2)], nodes: [0, 1, 1])
    try good.check(seat)
    let nowhere = SocketAddress(v4: 0, 0, 0, 0, port: 1)
    for wrong in [
      GangNetwork(presharedKey: [1], members: good.members, nodes: [0, 1]),
      GangNetwork(presharedKey: secret, members: [member(1)], nodes: [0, 1]),
      GangNetwork(presharedKey: secret, members: [member(1), member(1)], nodes: [0, 1]),
      GangNetwork(presharedKey: secret, members: good.members, nodes: [0, 2]),
      GangNetwork(
        presharedKey: secret, members: [member(1), member(2, [nowhere])], nodes: [0, 1]),
    ] {
      #expect(throws: IorunError.self) { try wrong.check(seat) }
    }
    #expect(throws: IorunError.self) {
      try OverlaySeat(network: seat.network, node: 2, nodeCount: 2).check()
    }
  }
}
