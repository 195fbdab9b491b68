import Foundation
import Glibc
import IorunCore
import Testing

@testable import IorunTunnel

/// What every backend must do, tried on each that is at hand.
@Suite(.enabled(if: Rights.canMakeTunnels, "\(Rights.needed)"), .serialized)
struct `Every tunnel backend` {
  private static let all: [any TunnelBackend] = [
    KernelWireGuard(), SwiftWireGuardBackend(), WireGuardGo(),
  ]

  @Test(arguments: ["kernel", "iorun", "wireguard-go"])
  func `joins two namespaces whose only way out it is`(_ name: String) async throws {
    let backend = try #require(Self.all.first { $0.name == name })
    if case .unavailable(let reason) = await backend.probe() {
      print("SKIPPED: \(name) is not at hand: \(reason)")
      return
    }
    let one = try await End(backend, number: 1)
    let other = try await End(backend, number: 2)
    #expect(one.device.backend == name && one.device.interfaceName == "iorun0")
    #expect(one.device.listenPort != other.device.listenPort)
    try await one.device.setPeer(try other.asPeer(endpoint: false))
    try await other.device.setPeer(try one.asPeer(endpoint: true))
    // The side that was told no endpoint learns it from the other's first packet.
    #expect(try Reach.tcp("100.64.3.1", from: other.space, to: one.space, within: 7))
    #expect(try Reach.tcp("fd03::2", from: one.space, to: other.space, within: 7))
    let counted = try #require(try await one.device.counters()[other.publicKey])
    #expect(counted.receivedBytes > 0 && counted.sentBytes > 0)
    #expect(counted.sinceHandshake != nil)
    #expect(counted.endpoint?.address.port == other.device.listenPort)

    await #expect(throws: IorunError.self) {
      try await one.device.setEndpoint(
        TunnelEndpoint(SocketAddress(v4: 127, 0, 0, 1, port: 9)), of: one.publicKey)
    }
    try await one.device.removePeer(other.publicKey)
    #expect(try await one.device.counters()[other.publicKey] == nil)
    #expect(try !Reach.tcp("100.64.3.1", from: other.space, to: one.space, within: 0.3))
    await one.device.close()
    await other.device.close()
    #expect(throws: IorunError.self) { try RouteSocket(in: one.space).link("iorun0") }
    await #expect(throws: IorunError.self) { try await one.device.counters() }
  }

  @Test func `of a list that works first is chosen, with the reasons of the others`() async throws {
    struct Broken: TunnelBackend {
      let name = "broken"
      func probe() async -> TunnelSupport { .unavailable("it is broken") }
      func open(_: TunnelConfig, in _: TunnelPlace) async throws -> any TunnelDevice {
        throw IorunError(.internalFault, "broken")
      }
    }
    let none = await TunnelBackends.choose(from: [Broken()])
    #expect(none.backend == nil && none.refusals.map(\.reason) == ["it is broken"])
    guard case .available = await WireGuardGo().probe() else { return }
    let choice = await TunnelBackends.choose(from: [Broken(), WireGuardGo()])
    #expect(choice.backend?.name == "wireguard-go" && choice.refusals.count == 1)
  }

  private struct End {
    let space: NetworkNamespace
    let device: any TunnelDevice
    let publicKey: TunnelPublicKey
    let number: Int

    init(_ backend: any TunnelBackend, number: Int) async throws {
      self.number = number
      space = try NetworkNamespace()
      let key = try TunnelPrivateKey()
      publicKey = try key.publicKey
      device = try await backend.open(
        TunnelConfig(
          interfaceName: "iorun0", privateKey: key,
          addresses: [
            try #require(IPPrefix("100.64.3.\(number)/24")),
            try #require(IPPrefix("fd03::\(number)/64")),
          ]),
        in: .namespace(descriptor: space.descriptor))
    }

    func asPeer(endpoint: Bool) throws -> TunnelPeer {
      TunnelPeer(
        publicKey: publicKey,
        allowedIPs: [
          try #require(IPPrefix("100.64.3.\(number)/32")),
          try #require(IPPrefix("fd03::\(number)/128")),
        ],
        endpoint: endpoint
          ? TunnelEndpoint(SocketAddress(v4: 127, 0, 0, 1, port: device.listenPort)) : nil)
    }
  }
}
