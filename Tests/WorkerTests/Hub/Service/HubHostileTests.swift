import Foundation
import IorunCore
import IorunWire
import TestSupport
import Testing

@testable import IorunWorker

@Suite("Hub, hostile processes", .serialized) struct HubHostileTests {
  private static let hello =
    #"{"protocol":1,"role":"worker","worker":"\#(String(repeating: "0", count: 32))","#
    + #""job":"job-aaaaaaaa","token":"x"}"#

  private func refusal(_ stage: HubStage, _ hello: String) async throws -> ScriptedProcess.Refusal?
  {
    let process = try stage.connect()
    do {
      _ = try await process.request(.hello, hello)
      return nil
    } catch let refusal as ScriptedProcess.Refusal {
      #expect(await process.isClosed())
      return refusal
    }
  }

  @Test func anotherVersionIsRefusedWithBothNamed() async throws {
    let stage = try await HubStage()
    let refusal = try await refusal(
      stage, #"{"protocol":7,"sdk":"python/9.9","role":"driver","worker":"x"}"#)
    // The worker id is wrong as well; what can be mended first is told first, or either.
    #expect(["IOR-1107", "IOR-1104"].contains(refusal?.code))
    let plain = try await self.refusal(stage, #"{"protocol":7,"sdk":"python/9.9","role":"driver"}"#)
    #expect(plain?.code == "IOR-1107")
    #expect(plain?.message.contains("version 7") == true)
    await stage.stop()
  }

  @Test func withoutAJobsTokenNobodyJoinsIt() async throws {
    let stage = try await HubStage()
    let driver = try await stage.driver()
    let zygote = try await stage.zygote()
    #expect(try await refusal(stage, Self.hello)?.code == "IOR-1005")
    let wrong =
      #"{"protocol":1,"role":"zygote","job":"\#(driver.job)","token":"\#(zygote.token)x"}"#
    #expect(try await refusal(stage, wrong)?.code == "IOR-1005")
    // The right token, but nobody that the hub expects.
    let stray =
      #"{"protocol":1,"role":"worker","worker":"\#(String(repeating: "1", count: 32))","#
      + #""job":"\#(driver.job)","token":"\#(zygote.token)"}"#
    #expect(try await refusal(stage, stray)?.code == "IOR-1005")
    await stage.stop()
  }

  @Test func whoDoesNotSayHelloIsThrownOut() async throws {
    let stage = try await HubStage(helloLimit: .milliseconds(50))
    let silent = try stage.connect()
    #expect(await silent.isClosed())
    let rude = try stage.connect()
    rude.message(.request, .lease, "{}", number: 1)
    #expect(await rude.isClosed())
    await stage.stop()
  }

  @Test func oneHostileConnectionHarmsNobodyElse() async throws {
    let stage = try await HubStage()
    let driver = try await stage.driver()
    var generator = SeededGenerator(seed: 3)
    for round in 0..<60 {
      let hostile = round % 2 == 0 ? try stage.connect() : try await stage.driver()
      switch round % 5 {
      case 0: hostile.send(generator.bytes(.random(in: 1..<400, using: &generator)))
      case 1: hostile.send([255, 255, 255, 255] + generator.bytes(40))
      case 2: hostile.send(.request, aux: 999, number: 1, body: [0, 0, 0, 0])
      case 3: hostile.send(.relay, body: [1, 2, 3])
      default: hostile.send(.event, aux: 1, body: [2, 0, 0, 0, 123, 125])
      }
      hostile.hangUp()
    }
    let nodes = try await driver.request(.nodes, "{}")
    #expect((nodes["nodes"] as? [Any])?.count == 1)
    await stage.stop()
  }

  @Test func wrongRequestsAreAnsweredAndTheConnectionGoesOn() async throws {
    let stage = try await HubStage()
    let driver = try await stage.driver()
    for (operation, json) in [
      (LocalOperation.lease, "[]"), (.lease, #"{"resources":{"CPU":-1}}"#), (.alloc, "{}"),
      (.alloc, #"{"object":"00","size":1}"#), (.actorCreate, #"{"actor":"zz"}"#), (.hello, "{}"),
      (.list, #"{"kind":"secrets"}"#), (.lease, #"{"resources":{"GPU":1.5}}"#), (.lease, "{"),
      (.pin, String(repeating: "[", count: 40)),
    ] {
      do {
        _ = try await driver.request(operation, json)
        Issue.record("\(operation) \(json) was granted")
      } catch let refusal as ScriptedProcess.Refusal {
        #expect(refusal.code.hasPrefix("IOR-1"), "\(operation) \(json): \(refusal)")
      }
    }
    #expect(try await driver.request(.nodes, "{}").isEmpty == false)
    await stage.stop()
  }
}
