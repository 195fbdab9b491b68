import ArgumentParser
import Foundation
import IorunCore
import IorunTunnel

/// A tunnel's configuration as JSON on a process's input: secrets are in no argument list.
struct HostDescription: Codable {
  struct Peer: Codable {
    var publicKey: TunnelPublicKey
    var presharedKey: String?
    var allowedIPs: [IPPrefix]
    var endpoint: SocketAddress?
    var relayHeader: String?
    var keepaliveSeconds: Int?
    var startsHandshakes: Bool?
  }

  var interface: String
  var privateKey: String
  var port: UInt16
  var addresses: [IPPrefix]
  var mtu: Int?
  var threads: Int?
  /// The descriptor of a TUN device that someone else made.
  var device: Int32?
  var peers: [Peer]

  /// The same as the tunnel takes it.
  var config: TunnelConfig {
    get throws {
      guard let secret = Data(base64Encoded: privateKey), let key = TunnelPrivateKey(bytes: secret)
      else { throw ValidationError("no private key") }
      return TunnelConfig(
        interfaceName: interface, privateKey: key, listenPort: port, addresses: addresses,
        mtu: mtu ?? TunnelConfig.defaultMTU,
        peers: peers.map { peer in
          let header = peer.relayHeader.flatMap { UInt64($0, radix: 16) }
          return TunnelPeer(
            publicKey: peer.publicKey,
            presharedKey: peer.presharedKey.flatMap { Data(base64Encoded: $0) }
              .flatMap { TunnelPresharedKey(bytes: $0) },
            allowedIPs: peer.allowedIPs,
            endpoint: peer.endpoint.map {
              TunnelEndpoint($0, relayHeader: header.flatMap { .init(rawValue: $0) })
            },
            keepalive: peer.keepaliveSeconds.map { .seconds($0) },
            startsHandshakes: peer.startsHandshakes ?? true)
        })
    }
  }
}
