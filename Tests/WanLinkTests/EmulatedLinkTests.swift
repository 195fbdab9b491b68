import Foundation
import Glibc
import Testing
import WanLink

@Suite(
  .enabled(
    if: NetworkNamespaces.areAvailable,
    "\(NetworkNamespaces.unavailableReason ?? ""): SKIPPED"),
  .serialized)
struct `An emulated link` {
  /// Joins two namespaces while `body` runs.
  private func linked(
    _ settings: LinkSettings, _ body: (NetworkNamespaces) async throws -> Void
  ) async throws {
    try await NetworkNamespaces.with("a", "b") { namespaces in
      try await WanLinkProcess.with(in: namespaces, from: "a", to: "b", settings: settings) {
        try await body(namespaces)
      }
    }
  }

  @Test(.timeLimit(.minutes(3)))
  func `answers a ping after its round trip, never sooner`() async throws {
    try await linked(LinkSettings(roundTrip: .milliseconds(40))) { namespaces in
      for (role, host) in [("a", WanLinkProcess.addresses.b), ("b", WanLinkProcess.addresses.a)] {
        let times = try await Ping.send(
          9, to: host, from: role, of: namespaces, patience: .seconds(2))
        // No upper bound: other work on this machine may hold up whoever waits for the answer.
        #expect(times.count == 9)
        #expect(times.min() ?? .zero > .milliseconds(39.5), "\(times)")
      }
    }
  }

  @Test(.timeLimit(.minutes(3)))
  func `that loses everything answers no ping`() async throws {
    try await linked(LinkSettings(loss: 1)) { namespaces in
      let times = try await Ping.send(
        3, to: WanLinkProcess.addresses.b, from: "a", of: namespaces, patience: .milliseconds(200))
      #expect(times.isEmpty)
    }
  }

  @Test(.timeLimit(.minutes(3)))
  func `that loses five percent still carries a TCP stream whole`() async throws {
    let settings = LinkSettings(
      roundTrip: .milliseconds(10), jitter: .milliseconds(1), loss: 0.05,
      bitsPerSecond: 100_000_000)
    try await linked(settings) { namespaces in
      func socket(_ role: String) throws -> TestSocket {
        TestSocket(
          descriptor: try namespaces.socket(
            in: role, domain: AF_INET, type: Int32(SOCK_STREAM.rawValue)))
      }
      let (listener, sender) = (try socket("b"), try socket("a"))
      let host = WanLinkProcess.addresses.b
      try listener.listen(host, 5000)
      let bytes = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 8) }
      async let sending: Void = TestSocket.blocking {
        try sender.connect(host, 5000)
        try sender.sendAll(bytes)
      }
      let received = try await TestSocket.blocking { try listener.accept().receiveAll() }
      try await sending
      #expect(received.count == bytes.count)
      #expect(received == bytes)
    }
  }

  @Test(.timeLimit(.minutes(3)))
  func `takes its devices with it when its test fails, and the namespaces go too`() async throws {
    var name = ""
    var devices: [String] = []
    do {
      try await NetworkNamespaces.with("a", "b") { namespaces in
        name = namespaces.name("a")
        do {
          try await WanLinkProcess.with(
            in: namespaces, from: "a", to: "b", settings: LinkSettings()
          ) {
            devices.append(try await namespaces.run(in: "a", "ip", "link"))
            throw Failure()
          }
        } catch is Failure {
          devices.append(try await namespaces.run(in: "a", "ip", "link"))
        }
        throw Failure()
      }
    } catch is Failure {}
    #expect(devices.map { $0.contains("wan0") } == [true, false])
    #expect(!name.isEmpty)
    #expect(!FileManager.default.fileExists(atPath: "/run/netns/" + name))
  }

  private struct Failure: Error {}
}

@Suite(
  .enabled(
    if: NetworkNamespaces.areAvailable,
    "\(NetworkNamespaces.unavailableReason ?? ""): SKIPPED"))
struct `Namespaces of a test` {
  @Test(.timeLimit(.minutes(3)))
  func `reach each other over a wire and over a switch`() async throws {
    try await NetworkNamespaces.with("a", "b", "hub") { namespaces in
      try await namespaces.joinByWire("a", address: "10.1.0.1/24", to: "b", address: "10.1.0.2/24")
      try await namespaces.joinBySwitch(["a", "b"], hub: "hub", subnet: "10.2.0")
      for host in ["10.1.0.2", "10.2.0.2"] {
        let times = try await Ping.send(
          2, to: host, from: "a", of: namespaces, patience: .seconds(5))
        #expect(times.count == 2, "\(host)")
      }
    }
  }
}
