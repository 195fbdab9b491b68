import Foundation
import IorunCore
import IorunTunnel
import WanLink

/// What lies between the two namespaces.
enum TunnelKind: String, CaseIterable, Codable {
  /// No tunnel: the wire that the others run on.
  case veth
  /// Debian's userspace WireGuard.
  case wireguardGo = "wireguard-go"
  /// Ours.
  case iorun

  /// The far end's address inside of it.
  var farAddress: String { self == .veth ? "10.9.0.2" : "10.8.0.2" }
}

/// A tunnel that is up between namespaces a and b, and the processes that make it.
final class RunningTunnel {
  let interface: String
  private var processes: [Process] = []
  private var inputs: [Pipe] = []
  private let folder: String

  /// Brings it up; returns once both ends run. The caller calls `end`.
  init(_ kind: TunnelKind, threads: Int, mtu: Int, in namespaces: NetworkNamespaces) async throws {
    interface =
      switch kind {
      case .veth: "eth"
      case .wireguardGo: "iw" + String(UInt32.random(in: .min ... .max), radix: 36)
      case .iorun: "iowg0"
      }
    folder = NSTemporaryDirectory() + "iorun-tunnel-bench-\(getpid())-\(kind.rawValue)"
    let keys = [try TunnelPrivateKey(), try TunnelPrivateKey()]
    for number in 1...2 {
      let (own, other) = (keys[number - 1], try keys[2 - number].publicKey)
      let role = number == 1 ? "a" : "b"
      switch kind {
      case .veth: break
      case .iorun:
        try startOurs(number, own, other, threads, mtu, namespaces.command(in: role, []))
      case .wireguardGo:
        try await startGo(number, own, other, mtu, role, namespaces)
      }
    }
  }

  /// Processor time of the tunnel's processes so far, in seconds.
  var processorSeconds: Double {
    let ticks = processes.reduce(0.0) { sum, process in
      let path = "/proc/\(process.processIdentifier)/stat"
      let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
      let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
      guard fields.count > 12 else { return sum }
      return sum + (Double(fields[11]) ?? 0) + (Double(fields[12]) ?? 0)
    }
    return ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
  }

  func end() {
    for process in processes {
      process.terminate()
      process.waitUntilExit()
    }
    try? FileManager.default.removeItem(atPath: folder)
  }

  private func startOurs(
    _ number: Int, _ own: TunnelPrivateKey, _ other: TunnelPublicKey, _ threads: Int, _ mtu: Int,
    _ prefix: [String]
  ) throws {
    guard let inside = IPPrefix("10.8.0.\(number)/24"),
      let allowed = IPPrefix("10.8.0.\(3 - number)/32"),
      let endpoint = SocketAddress("10.9.0.\(3 - number):51820")
    else { return }
    let description = HostDescription(
      interface: interface, privateKey: own.secretText, port: 51820, addresses: [inside],
      mtu: mtu, threads: threads,
      peers: [.init(publicKey: other, allowedIPs: [allowed], endpoint: endpoint)])
    let (input, output) = (Pipe(), Pipe())
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = prefix + [Programs.own, "host"]
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    processes.append(process)
    inputs.append(input)
    try input.fileHandleForWriting.write(
      contentsOf: try JSONEncoder().encode(description) + Data("\n".utf8))
    guard
      String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        .hasPrefix("ready")
    else { throw Traffic.Failed("our end did not start") }
  }

  private func startGo(
    _ number: Int, _ own: TunnelPrivateKey, _ other: TunnelPublicKey, _ mtu: Int, _ role: String,
    _ namespaces: NetworkNamespaces
  ) async throws {
    // Its control socket is known by the interface's name on the whole machine.
    let name = interface + "\(number)"
    try FileManager.default.createDirectory(
      atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = namespaces.command(in: role, ["wireguard-go", "-f", name])
    process.environment = ProcessInfo.processInfo.environment.merging([
      "WG_PROCESS_FOREGROUND": "1", "LOG_LEVEL": "silent",
    ]) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    processes.append(process)
    let deadline = ContinuousClock.now + .seconds(10)
    while !FileManager.default.fileExists(atPath: "/var/run/wireguard/\(name).sock") {
      guard ContinuousClock.now < deadline else {
        throw Traffic.Failed("wireguard-go did not start")
      }
      try await Task.sleep(for: .milliseconds(20))
    }
    let key = folder + "/key\(number)"
    try Data(own.secretText.utf8).write(to: URL(fileURLWithPath: key))
    try await namespaces.run(
      in: role, "wg", "set", name, "private-key", key, "listen-port", "51820", "peer",
      other.description, "allowed-ips", "10.8.0.\(3 - number)/32", "endpoint",
      "10.9.0.\(3 - number):51820")
    try await namespaces.run(in: role, "ip", "address", "add", "10.8.0.\(number)/24", "dev", name)
    try await namespaces.run(in: role, "ip", "link", "set", name, "mtu", "\(mtu)", "up")
  }

  /// The interface's name at an end.
  func interface(at number: Int, _ kind: TunnelKind) -> String {
    switch kind {
    case .veth: number == 1 ? "eth-b" : "eth-a"
    case .wireguardGo: interface + "\(number)"
    case .iorun: interface
    }
  }
}

/// Programs that the benchmark starts.
enum Programs {
  /// This one.
  static let own =
    (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
    ?? CommandLine.arguments[0]

  /// Runs a program to its end and returns what it printed.
  static func run(_ words: [String]) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["timeout", "120"] + words
    let pipe = Pipe()
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = pipe
    try process.run()
    let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw Traffic.Failed("\(words.suffix(4).joined(separator: " ")) failed")
    }
    return text
  }
}
