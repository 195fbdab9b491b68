internal import Foundation
internal import IorunCore

/// The text protocol of userspace WireGuards (wireguard.com/xplatform): `key=value` lines up to an
/// empty one, answered by lines of which the last is `errno=N`.
enum UAPI {
  /// What is to change, as one request.
  static func set(
    privateKey: TunnelPrivateKey? = nil, port: UInt16? = nil,
    changes: [TunnelChange] = []
  ) -> String {
    var lines = ["set=1"]
    if let privateKey { lines.append("private_key=\(hex(privateKey.bytes))") }
    if let port { lines.append("listen_port=\(port)") }
    for change in changes {
      switch change {
      case .set(let peer):
        lines.append("public_key=\(hex(peer.publicKey.bytes))")
        if let key = peer.presharedKey { lines.append("preshared_key=\(hex(key.bytes))") }
        if let endpoint = peer.endpoint { lines.append("endpoint=\(endpoint.address)") }
        let seconds = peer.keepalive.map { UInt16(clamping: Int($0 / .seconds(1))) } ?? 0
        lines.append("persistent_keepalive_interval=\(seconds)")
        lines.append("replace_allowed_ips=true")
        lines += peer.allowedIPs.map { "allowed_ip=\($0.masked)" }
      case .endpoint(let address, let key):
        lines += ["public_key=\(hex(key.bytes))", "update_only=true", "endpoint=\(address)"]
      case .remove(let key):
        lines += ["public_key=\(hex(key.bytes))", "remove=true"]
      }
    }
    return lines.joined(separator: "\n") + "\n\n"
  }

  static let get = "get=1\n\n"

  /// The answer's lines, without the last. Throws `malformed` where there is no `errno`, and
  /// `networkSetup` where it is not 0.
  static func answer(_ text: String, _ what: String) throws(IorunError) -> [(String, String)] {
    var lines: [(String, String)] = []
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2 else { continue }
      guard parts[0] != "errno" else {
        guard let number = Int32(parts[1]) else { break }
        if number == 0 { return lines }
        throw NetworkFailure.error("cannot \(what)", errno: number < 0 ? 0 &- number : number)
      }
      lines.append((String(parts[0]), String(parts[1])))
    }
    throw IorunError(.malformed, "wireguard-go's answer has no end: cannot \(what)")
  }

  /// The port that it listens on.
  static func port(_ lines: [(String, String)]) -> UInt16? {
    lines.first { $0.0 == "listen_port" }.flatMap { UInt16($0.1) }
  }

  /// What it counted; `now` in seconds since 1970.
  static func counters(_ lines: [(String, String)], now: Double) -> [TunnelPublicKey:
    TunnelCounters]
  {
    var counters: [TunnelPublicKey: TunnelCounters] = [:]
    var key: TunnelPublicKey?
    for (name, value) in lines {
      if name == "public_key" {
        key = bytes(value).flatMap { TunnelPublicKey(bytes: $0) }
        if let key { counters[key] = TunnelCounters() }
      }
      guard let key else { continue }
      switch name {
      case "endpoint":
        counters[key]?.endpoint = SocketAddress(value).map { TunnelEndpoint($0) }
      case "tx_bytes": counters[key]?.sentBytes = UInt64(value) ?? 0
      case "rx_bytes": counters[key]?.receivedBytes = UInt64(value) ?? 0
      case "last_handshake_time_sec":
        guard let seconds = Double(value), seconds > 0 else { break }
        counters[key]?.sinceHandshake = .seconds(max(0, now - seconds))
      default: break
      }
    }
    return counters
  }

  private static let digits = Array("0123456789abcdef".utf8)

  private static func hex(_ bytes: [UInt8]) -> String {
    String(
      decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }

  private static func bytes(_ hex: String) -> [UInt8]? {
    let nibbles = hex.utf8.compactMap { digits.firstIndex(of: $0).map { UInt8($0) } }
    guard nibbles.count == hex.utf8.count, nibbles.count % 2 == 0 else { return nil }
    return stride(from: 0, to: nibbles.count, by: 2).map { nibbles[$0] << 4 | nibbles[$0 + 1] }
  }
}
