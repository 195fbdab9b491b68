import Foundation
import IorunCore
import IorunWire
import Testing

@testable import IorunWorker

/// Hellos as released SDKs said them, byte by byte: a hub goes on to understand those of every version of
/// the local protocol that it says it speaks, whatever its own code writes by then. When the version is
/// raised, the next one is recorded here and none is changed.
@Suite("Recorded hellos", .serialized) struct RecordedHelloTests {
  /// Version 1: the Python SDK of 0.2.0, and the Swift one.
  private static let version1 = [
    "python/0.2.0": bytes(
      "ef000000010001000100000000000000df0000007b2270726f746f636f6c223a312c2273646b"
        + "223a22707974686f6e2f302e322e30222c22726f6c65223a22647269766572222c2270696422"
        + "3a343234322c22776f726b6572223a2230303031303230333034303530363037303830393061"
        + "30623063306430653066222c226e616d657370616365223a22222c226e616d65223a22747261"
        + "696e2e7079222c226c61756e63686572223a7b2261726776223a5b222f62696e2f736c656570"
        + "222c22363030225d2c22656e7669726f6e6d656e74223a7b7d2c22637764223a222f222c226b"
        + "696e64223a227a79676f7465227d7d"),
    "swift/0.2.0": bytes(
      "f5000000010001000100000000000000e50000007b2270726f746f636f6c223a312c2273646b"
        + "223a2273776966742f302e322e30222c22726f6c65223a22647269766572222c22776f726b65"
        + "72223a223030303130323033303430353036303730383039306130623063306430653066222c"
        + "22706964223a343234322c226e616d657370616365223a22636865636b222c226e616d65223a"
        + "22636c75737465722d70726f6772616d222c226c61756e63686572223a7b2261726776223a5b"
        + "222f62696e2f66616c7365225d2c22656e7669726f6e6d656e74223a7b7d2c22637764223a22"
        + "2f222c226b696e64223a2270726f6772616d227d7d"),
  ]

  private static func bytes(_ digits: String) -> [UInt8] {
    let digits = Array(digits)
    return stride(from: 0, to: digits.count, by: 2).compactMap {
      UInt8(String(digits[$0...($0 + 1)]), radix: 16)
    }
  }

  @Test(arguments: version1.keys.sorted()) func isAnswered(sdk: String) async throws {
    try await expectAnswer(to: sdk, by: LocalLimits.versions)
  }

  /// A hub of the next release, which speaks its own version and this one: what it answers, and how, is
  /// what the SDK of the version before understands.
  @Test(arguments: version1.keys.sorted())
  func isAnsweredByAHubThatSpeaksOneVersionMore(sdk: String) async throws {
    try await expectAnswer(to: sdk, by: ProtocolVersions(oldest: 1, newest: 2))
  }

  private func expectAnswer(to sdk: String, by versions: ProtocolVersions) async throws {
    let stage = try await HubStage(versions: versions)
    let process = try stage.connect()
    process.send(try #require(Self.version1[sdk]))
    let answer = try await process.answer(1)
    // What that SDK reads of the answer.
    #expect(answer["protocol"] as? Int == 1)
    #expect((answer["job"] as? String)?.hasPrefix("job-") == true)
    for key in ["node", "nodeName", "address", "directory", "logs", "head", "namespace"] {
      #expect(answer[key] is String, "\(key)")
    }
    #expect((answer["arena"] as? [String: Any])?["path"] is String)
    #expect((answer["arena"] as? [String: Any])?["size"] is Int)
    #expect((answer["resources"] as? [String: Any])?["CPU"] as? Double == 2)
    #expect(answer["inlineLimit"] is Int)
    // The next word is understood, too.
    #expect(try await process.request(.nodes, "{}")["nodes"] is [Any])
    await stage.stop()
  }

  /// The recorded hello as an SDK of other versions would say it.
  private func hello(_ versions: String) throws -> String {
    String(
      decoding: try #require(Self.version1["python/0.2.0"]).dropFirst(20), as: UTF8.self
    ).replacingOccurrences(of: #""protocol":1,"#, with: versions)
  }

  @Test func ofAnSDKThatSpeaksMoreGetsTheNewestThatBothSpeak() async throws {
    for (hub, sdk, agreed) in [
      (ProtocolVersions(oldest: 1, newest: 1), (2, 1), 1),
      (ProtocolVersions(oldest: 4, newest: 5), (5, 4), 5),
      (ProtocolVersions(oldest: 4, newest: 5), (9, 3), 5),
    ] {
      let stage = try await HubStage(versions: hub)
      let answer = try await stage.connect().request(
        .hello, hello(#""protocol":\#(sdk.0),"oldestProtocol":\#(sdk.1),"#))
      #expect(answer["protocol"] as? Int == agreed)
      await stage.stop()
    }
  }

  @Test(arguments: [
    // Two versions too old, one too new that does not speak its predecessor, and nonsense.
    (#""protocol":1,"#, ProtocolVersions(oldest: 3, newest: 4), "version 1 of the local protocol"),
    (#""protocol":2,"#, ProtocolVersions(oldest: 1, newest: 1), "version 2 of the local protocol"),
    (
      #""protocol":6,"oldestProtocol":5,"#, ProtocolVersions(oldest: 3, newest: 4),
      "version 5 to 6 of the local protocol"
    ),
    (
      #""protocol":1,"oldestProtocol":7,"#, ProtocolVersions(oldest: 3, newest: 4),
      "version 1 of the local protocol"
    ),
    (#""protocol":-9223372036854775808,"#, ProtocolVersions(oldest: 1, newest: 1), "version -9"),
  ])
  func ofAnotherVersionIsRefusedByNamingBoth(
    said: String, hub: ProtocolVersions, message: String
  ) async throws {
    let stage = try await HubStage(versions: hub)
    let process = try stage.connect()
    do {
      _ = try await process.request(.hello, hello(said))
      Issue.record("\(said) was taken")
    } catch let refusal as ScriptedProcess.Refusal {
      #expect(refusal.code == "IOR-1107")
      #expect(refusal.message.contains(message), "\(refusal.message)")
      #expect(refusal.message.contains("this node \(hub)"), "\(refusal.message)")
    }
    #expect(await process.isClosed())
    await stage.stop()
  }
}
