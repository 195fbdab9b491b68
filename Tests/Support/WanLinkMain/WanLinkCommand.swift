import ArgumentParser
import CWanLink
import Foundation
import WanLink

/// `wan-link`: joins two network namespaces by a link with the delay, loss and rate of a WAN.
@main
struct WanLinkCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "wan-link",
    abstract: "Join two network namespaces by a link with the delay, loss and rate of a WAN.",
    discussion: """
      Makes a device wan0 in each namespace, prints `ready`, and carries packets until SIGTERM, \
      Ctrl-C or the end of standard input. The devices go with it.
      """)

  @Option(help: "The first namespace: a name of `ip netns`, or a path such as /proc/PID/ns/net.")
  var a: String
  @Option(help: "The second namespace.")
  var b: String
  @Option(help: "The first end's IPv4 address.")
  var aAddress = "10.200.0.1"
  @Option(help: "The second end's IPv4 address.")
  var bAddress = "10.200.0.2"
  @Option(help: "Milliseconds there and back.")
  var rttMs = 0.0
  @Option(help: "Each packet takes up to so many milliseconds longer, in each direction.")
  var jitterMs = 0.0
  @Option(help: "The percentage of packets lost in each direction.")
  var lossPercent = 0.0
  @Option(help: "Megabits a second in each direction.")
  var rateMbps = 1000.0
  @Option(help: "Milliseconds that a packet may wait for the line before it is dropped.")
  var queueMs = 100.0
  @Option(help: "Where chance comes from: equal seeds lose the same packets.")
  var seed: UInt64 = 1
  @Flag(help: "Let jitter change the order of packets.")
  var reorder = false

  func validate() throws {
    guard [rttMs, jitterMs, queueMs].allSatisfy({ (0...60_000).contains($0) }) else {
      throw ValidationError("A time is between 0 and 60000 milliseconds.")
    }
    guard (0...100).contains(lossPercent) else {
      throw ValidationError("--loss-percent is between 0 and 100.")
    }
    guard (0.001...100_000).contains(rateMbps) else {
      throw ValidationError("--rate-mbps is between 0.001 and 100000.")
    }
  }

  func run() throws {
    let endSignals = iorun_wanlink_end_signals()
    // Refused without privileges of its own: the link then works, less exactly on a busy machine.
    _ = iorun_wanlink_be_prompt()
    let link = try LinkForwarder(
      .init(namespacePath: Self.path(a), address: aAddress),
      .init(namespacePath: Self.path(b), address: bAddress),
      settings: LinkSettings(
        roundTrip: .milliseconds(rttMs), jitter: .milliseconds(jitterMs),
        loss: lossPercent / 100, bitsPerSecond: Int(rateMbps * 1e6),
        queue: .milliseconds(queueMs), keepsOrder: !reorder),
      seed: seed)
    FileHandle.standardOutput.write(Data("ready\n".utf8))
    link.run(endSignals: endSignals)
  }

  private static func path(_ namespace: String) -> String {
    namespace.contains("/") ? namespace : "/run/netns/" + namespace
  }
}
