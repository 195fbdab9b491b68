import Foundation
import IorunCore
import IorunTunnel
import TestSupport
import Testing
import WanLink

/// Which WireGuard an end runs.
enum Implementation: String, Sendable, CustomTestStringConvertible {
  case ours, debian
  var testDescription: String { rawValue }
}

/// One end of a tunnel: a process in a namespace, ours or Debian's. The end with number 1 has the
/// addresses 10.8.0.1 and fd08::1 inside, and 10.9.0.1 on the wire.
final class End {
  let implementation: Implementation
  let number: Int
  let role: String
  let key: TunnelPrivateKey
  let namespaces: NetworkNamespaces
  private var process: LineProcess?
  private let device: String
  private let folder: String

  init(
    _ implementation: Implementation, _ number: Int, in role: String,
    of namespaces: NetworkNamespaces
  ) throws {
    self.implementation = implementation
    self.number = number
    self.role = role
    self.namespaces = namespaces
    key = try TunnelPrivateKey()
    // wireguard-go's control socket is known by the device's name on the whole machine.
    device = "iw" + String(UInt32.random(in: .min ... .max), radix: 36)
    folder = NSTemporaryDirectory() + device
    try FileManager.default.createDirectory(
      atPath: folder, withIntermediateDirectories: true,
      attributes: [.posixPermissions: 0o700])
  }

  var address: String { "10.8.0.\(number)" }

  /// Starts with the other end as its peer, at that place on the wire.
  func start(peer: End, at endpoint: String?, psk: TunnelPresharedKey) async throws {
    let allowed = ["10.8.0.\(peer.number)/32", "fd08::\(peer.number)/128"]
    switch implementation {
    case .ours:
      let process = try LineProcess(
        namespaces.command(in: role, [Programs.bench, "host"]))
      self.process = process
      var description: [String: Any] = [
        "publicKey": try peer.key.publicKey.description,
        "presharedKey": Data(psk.bytes).base64EncodedString(), "allowedIPs": allowed,
      ]
      description["endpoint"] = endpoint
      let whole: [String: Any] = [
        "interface": device, "privateKey": key.secretText, "port": 51820,
        "addresses": ["10.8.0.\(number)/24", "fd08::\(number)/64"], "peers": [description],
      ]
      let json = try JSONSerialization.data(withJSONObject: whole)
      let answer = try await process.ask(String(decoding: json, as: UTF8.self))
      #expect(answer == "ready 51820")
    case .debian:
      process = try LineProcess(
        namespaces.command(in: role, ["wireguard-go", "-f", device]),
        environment: ["WG_PROCESS_FOREGROUND": "1", "LOG_LEVEL": "silent"])
      try write(key.secretText, "key")
      try write(Data(psk.bytes).base64EncodedString(), "psk")
      try await until("wireguard-go runs") {
        FileManager.default.fileExists(atPath: "/var/run/wireguard/\(self.device).sock")
      }
      var words = [
        "wg", "set", device, "private-key", folder + "/key", "listen-port", "51820", "peer",
        try peer.key.publicKey.description, "preshared-key", folder + "/psk", "allowed-ips",
        allowed.joined(separator: ","),
      ]
      if let endpoint { words += ["endpoint", endpoint] }
      try await run(words)
      try await run(["ip", "address", "add", "10.8.0.\(number)/24", "dev", device])
      try await run(["ip", "address", "add", "fd08::\(number)/64", "dev", device, "nodad"])
      try await run(["ip", "link", "set", device, "mtu", "1380", "up"])
    }
  }

  /// Asks our process something.
  @discardableResult
  func ask(_ order: String) async throws -> String {
    guard let process else { throw LineProcess.Ended() }
    return try await process.ask(order)
  }

  /// How long ago the last handshake was completed; `nil`: never.
  func sinceHandshake() async throws -> Double? {
    switch implementation {
    case .ours: return try await counters()["sinceHandshakeSeconds"] as? Double
    case .debian:
      let text = try await run(["wg", "show", device, "latest-handshakes"])
      let stamp = text.split(whereSeparator: \.isWhitespace).last.flatMap { Double($0) } ?? 0
      return stamp == 0 ? nil : Date().timeIntervalSince1970 - stamp
    }
  }

  /// Where it thinks that its peer is.
  func endpoint() async throws -> String {
    switch implementation {
    case .ours: return try await counters()["endpoint"] as? String ?? ""
    case .debian:
      let text = try await run(["wg", "show", device, "endpoints"])
      return text.split(whereSeparator: \.isWhitespace).last.map(String.init) ?? ""
    }
  }

  /// What ours has dropped, by reason.
  func drops() async throws -> [String: Int] {
    let text = try await ask("drops")
    return try JSONDecoder().decode([String: Int].self, from: Data(text.utf8))
  }

  private func counters() async throws -> [String: Any] {
    let text = try await ask("counters")
    let list = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: Any]]
    return list?.first ?? [:]
  }

  func end() {
    process?.end()
    try? FileManager.default.removeItem(atPath: folder)
  }

  private func write(_ text: String, _ name: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
  }

  @discardableResult
  func run(_ words: [String]) async throws -> String {
    try await Programs.run(namespaces.command(in: role, words))
  }
}

/// Programs that tests start.
enum Programs {
  /// This package's benchmark, which can also be one end of a tunnel.
  static let bench = BuiltProgram.path("iorun-tunnel-bench")

  /// Runs a program to its end and returns what it printed.
  @discardableResult
  static func run(_ words: [String]) async throws -> String {
    try await Stream.blocking {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      process.arguments = ["timeout", "20"] + words
      let pipe = Pipe()
      process.standardInput = FileHandle.nullDevice
      process.standardOutput = pipe
      process.standardError = pipe
      try process.run()
      let text = String(
        decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
      process.waitUntilExit()
      guard process.terminationStatus == 0 else {
        throw WanLinkError("\(words.joined(separator: " ")): \(text)")
      }
      return text
    }
  }
}

/// Waits until something is so, for at most 20 seconds.
func until(
  _ what: String, _ condition: () async throws -> Bool,
  sourceLocation: SourceLocation = #_sourceLocation
) async throws {
  let deadline = ContinuousClock.now + .seconds(20)
  while ContinuousClock.now < deadline {
    if try await condition() { return }
    try await Task.sleep(for: .milliseconds(20))
  }
  Issue.record("never: \(what)", sourceLocation: sourceLocation)
}
