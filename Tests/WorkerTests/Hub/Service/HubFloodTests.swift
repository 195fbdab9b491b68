import Foundation
import Glibc
import IorunCore
import IorunWire
import TestSupport
import Testing

@testable import IorunWorker

/// Processes that ask for too much, pretend to be others, or do not listen: each harms itself alone.
@Suite("Hub, floods and forgeries", .serialized) struct HubFloodTests {
  private let one = #"{"resources":{"CPU":1}}"#

  private func code(_ body: () async throws -> Void) async -> String? {
    do {
      try await body()
      return nil
    } catch let refusal as ScriptedProcess.Refusal {
      return refusal.code
    } catch {
      return String(describing: error)
    }
  }

  /// True where an honest process is answered.
  private func serves(_ driver: ScriptedProcess) async -> Bool {
    await code { _ = try await driver.request(.nodes, "{}") } == nil
  }

  // MARK: Too much

  @Test func `a frame beyond the limit ends its connection, and says why`() async throws {
    let stage = try await HubStage()
    let driver = try await stage.bystander()
    let honest = try await stage.bystander()
    var bytes: [UInt8] = []
    LocalHeader(kind: .request, aux: 10, number: 1, bodyCount: 33 << 20).append(to: &bytes)
    driver.send(bytes)
    let stop = try await driver.event(.stop)
    #expect((stop["reason"] as? String)?.contains("IOR-1105") == true, "\(stop)")
    #expect(await driver.isClosed())
    #expect(await serves(honest))
    await stage.stop()
  }

  @Test func `JSON beyond the limit is refused, and the connection goes on`() async throws {
    let stage = try await HubStage()
    let driver = try await stage.bystander()
    let long = #"{"resources":{},"runtimeEnv":""# + String(repeating: "x", count: 1 << 20) + #""}"#
    var body: [UInt8] = []
    withUnsafeBytes(of: UInt32(long.utf8.count).littleEndian) { body += Array($0) }
    driver.send(.request, aux: LocalOperation.lease.rawValue, number: 77, body: body + long.utf8)
    let refused = await code { _ = try await driver.answer(77) }
    #expect(["IOR-1104", "IOR-1105"].contains(refused))
    #expect(await serves(driver))
    await stage.stop()
  }

  @Test func `who asks for more than may wait is refused, and everybody else is not`() async throws
  {
    let stage = try await HubStage(resources: ["CPU": 1])
    let greedy = try await stage.driver()
    let zygote = try await stage.zygote()
    _ = try await stage.fork(by: zygote)
    _ = try await greedy.request(.lease, one)
    var last: UInt64 = 0
    for _ in 0...65_536 { last = greedy.ask(.lease, one) }
    #expect(await code { _ = try await greedy.answer(last) } == "IOR-1106")
    let honest = try await stage.bystander()
    #expect(await serves(honest))
    // Its end takes all of that along.
    greedy.hangUp()
    #expect(await serves(honest))
    try await eventually("the core is free again") {
      stage.cluster.state.withLock { $0.available?["CPU"] == 1 }
    }
    await stage.stop()
  }

  @Test func `many who say nothing keep nobody else waiting, and are thrown out`() async throws {
    let stage = try await HubStage(helloLimit: .milliseconds(300))
    var silent: [ScriptedProcess] = []
    for _ in 0..<400 { silent.append(try stage.connect()) }
    let honest = try await stage.bystander()
    #expect(await serves(honest))
    for process in silent.suffix(5) { #expect(await process.isClosed()) }
    await stage.stop()
  }

  @Test func `a frame that comes byte by byte holds up nobody`() async throws {
    let stage = try await HubStage()
    let slow = try await stage.bystander()
    let honest = try await stage.bystander()
    var bytes: [UInt8] = []
    try LocalFrames.append(
      kind: .request, aux: LocalOperation.nodes.rawValue, number: 5, json: "{}".utf8, blob: [],
      to: &bytes)
    for byte in bytes.dropLast() {
      slow.send([byte])
      #expect(await serves(honest))
    }
    slow.send([bytes[bytes.count - 1]])
    #expect(await code { _ = try await slow.answer(5) } == nil)
    await stage.stop()
  }

  @Test func `who does not read its answers is not read, and holds up nobody`() async throws {
    let stage = try await HubStage()
    let deaf = try await stage.bystander()
    let honest = try await stage.bystander()
    // Answers to unknown operations are long, for questions so short.
    var bytes: [UInt8] = []
    for number in 1...2000 {
      try LocalFrames.append(
        kind: .request, aux: LocalOperation.actorNamed.rawValue, number: UInt64(number),
        json: #"{"name":"nobody"}"#.utf8, blob: [], to: &bytes)
    }
    for _ in 0..<50 {
      let sent = bytes.withUnsafeBytes {
        Glibc.send(
          deaf.descriptor, $0.baseAddress, $0.count,
          Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
      }
      // A part of a frame would make the next one nonsense; that is for other tests.
      guard sent == bytes.count else { break }
    }
    #expect(await serves(honest))
    deaf.hangUp()
    #expect(await serves(honest))
    await stage.stop()
  }

  // MARK: Forged

  @Test func `nobody gives back what another one holds`() async throws {
    let stage = try await HubStage(resources: ["CPU": 1])
    let driver = try await stage.driver()
    let zygote = try await stage.zygote()
    _ = try await stage.fork(by: zygote)
    let lease = try await driver.request(.lease, one)
    let thief = try await stage.bystander()
    let waiting = thief.ask(.lease, one)
    let number = lease["lease"] as? Int ?? 0
    for forged in 0...(number + 8) {
      thief.note(.leaseReturn, #"{"lease":\#(forged),"node":"\#(stage.node)","broken":true}"#)
    }
    // The answer to a later question comes before the lease: it is still held.
    #expect(await serves(thief))
    thief.note(.leaseCancel, #"{"number":\#(waiting)}"#)
    #expect(await code { _ = try await thief.answer(waiting) } == "IOR-1204")
    await stage.stop()
  }

  @Test func `nobody frees, seals or gives up another one's object`() async throws {
    let stage = try await HubStage(resources: ["CPU": 1])
    let driver = try await stage.driver()
    let zygote = try await stage.zygote()
    let worker = try await stage.fork(by: zygote)
    let object = ObjectID(owner: driver.worker, counter: 1, index: 0)
    _ = try await driver.request(.alloc, #"{"object":"\#(object)","size":5000}"#)
    worker.note(.abort, #"{"object":"\#(object)"}"#)
    worker.note(.seal, #"{"object":"\#(object)","size":5000}"#)
    worker.note(.free, #"{"objects":[{"object":"\#(object)","locations":[]}]}"#)
    worker.note(.unpin, #"{"objects":["\#(object)","\#(object)"]}"#)
    #expect(await serves(worker))
    driver.note(.seal, #"{"object":"\#(object)","size":5000}"#)
    #expect(
      await code {
        _ = try await worker.request(.pin, #"{"object":"\#(object)","locations":[],"size":5000}"#)
      } == nil)
    await stage.stop()
  }

  @Test func `a worker cannot say that another one's actor is ready`() async throws {
    let stage = try await HubStage(resources: ["CPU": 2])
    let driver = try await stage.driver()
    let zygote = try await stage.zygote()
    let liar = try await stage.fork(by: zygote)
    let actor = String(repeating: "cd", count: 16)
    _ = try await driver.request(
      .actorCreate, #"{"actor":"\#(actor)","className":"A","resources":{}}"#)
    liar.note(.actorReady, #"{"actor":"\#(actor)","failed":false}"#)
    #expect(await liar.isClosed())
    #expect(await serves(driver))
    await stage.stop()
  }

  // MARK: Noise

  @Test(arguments: 0..<6 as Range<UInt64>)
  func `conversations with changed bytes harm nobody else`(seed: UInt64) async throws {
    let stage = try await HubStage(resources: ["CPU": 2])
    let honest = try await stage.bystander()
    var random = SeededGenerator(seed: seed)
    let object = ObjectID(owner: honest.worker, counter: 1, index: 0)
    let group = String(repeating: "ef", count: 16)
    let words: [(LocalOperation, String)] = [
      (.lease, #"{"resources":{"CPU":1,"GPU":0.5},"bundle":{"group":"\#(group)","index":-1}}"#),
      (.lease, one), (.leaseCancel, #"{"number":1}"#), (.blocked, "{}"), (.unblocked, "{}"),
      (.leaseReturn, #"{"lease":1,"node":"\#(stage.node)","broken":false}"#),
      (.alloc, #"{"object":"\#(object)","size":4096}"#), (.seal, #"{"object":"\#(object)"}"#),
      (.pin, #"{"object":"\#(object)","locations":["\#(stage.node)"],"size":4096}"#),
      (.unpin, #"{"objects":["\#(object)"]}"#),
      (.free, #"{"objects":[{"object":"\#(object)","locations":[]}]}"#),
      (.groupCreate, #"{"group":"\#(group)","bundles":[{"CPU":1}],"strategy":"PACK"}"#),
      (.groupRemove, #"{"group":"\#(group)"}"#), (.list, #"{"kind":"tasks","limit":5}"#),
      (.report, #"{"tasks":[["aa","f","RUNNING",0,1.5,"",""]]}"#),
      (.metric, #"{"name":"m","kind":"gauge","value":1,"tags":{}}"#),
      (.actorNamed, #"{"name":"x","namespace":"y"}"#), (.exiting, #"{"intended":true}"#),
    ]
    for _ in 0..<40 {
      let hostile = try await stage.bystander()
      var bytes: [UInt8] = []
      for number in 0..<UInt64.random(in: 1...12, using: &random) {
        guard let (operation, json) = words.randomElement(using: &random) else { continue }
        try LocalFrames.append(
          kind: Bool.random(using: &random) ? .request : .note, aux: operation.rawValue,
          number: number, json: json.utf8, blob: random.bytes(.random(in: 0...8, using: &random)),
          to: &bytes)
      }
      for _ in 0..<Int.random(in: 0...4, using: &random) {
        let place = Int.random(in: bytes.indices, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: bytes[place] = UInt8.random(in: .min ... .max, using: &random)
        case 1: bytes.insert(UInt8.random(in: .min ... .max, using: &random), at: place)
        default: bytes.removeSubrange(place...)
        }
        if bytes.isEmpty { break }
      }
      hostile.send(bytes)
      hostile.hangUp()
    }
    #expect(await serves(honest), "seed \(seed)")
    await stage.stop()
  }
}
