import Distributed
import IorunCore
import IorunWire
import TestSupport
import Testing

@testable import IorunRuntime

/// What a call's method is called by, and what it costs to name another one.
@Suite struct DistributedMethodTests {
  private let process: ClusterProcess
  private let lamp: Lamp

  init() throws {
    let process = try ClusterProcess(
      worker: WorkerID(high: 1, low: 1), role: "driver", tasks: [], actors: [])
    self.process = process
    let id = ClusterActorID(actor: RuntimeActorID(high: 1, low: 2), host: nil)
    lamp = ActorTable.$wished.withValue(id) { Lamp(actorSystem: process.actorSystem) }
  }

  /// The name of a method: of Lamp, unless another type is given.
  private func target(_ method: String, _ type: Any.Type = Lamp.self) -> String {
    "$s\(_mangledTypeName(type) ?? "")\(method)"
  }

  private func reply(_ method: String, _ arguments: [UInt8]) async throws -> PeerReply {
    let method = try #require(
      try process.actors.methods.method(target(method), of: Lamp.self), "\(method)")
    return await method.reply(to: Payload(bytes: arguments), by: lamp, in: process)
  }

  private func code(_ reply: PeerReply) -> IorunError.Code? {
    guard case .failure(let failure) = reply else { return nil }
    return (process.errors.decode(failure) as? IorunError)?.code
  }

  @Test func `values, nothing and errors come back`() async throws {
    for _ in 0..<2 {
      guard case .value(let sum) = try await reply("3addyS2i_SitYaKFTE", [1, 2]) else {
        Issue.record("no value")
        return
      }
      #expect(sum.bytes == [3])
      guard case .nothing = try await reply("4turnyyYaKFTE", []) else {
        Issue.record("not nothing")
        return
      }
      #expect(code(try await reply("5breakyyYaKFTE", [])) == .wrongState)
    }
  }

  @Test func `too few arguments, and those of other types, are malformed`() async throws {
    for arguments in [[], [1], [0x61, 0x61, 1], [0xff, 0xff]] as [[UInt8]] {
      #expect(code(try await reply("3addyS2i_SitYaKFTE", arguments)) == .malformed)
    }
  }

  @Test func `a method that the type does not have is not found`() async throws {
    #expect(code(try await reply("3subyS2i_SitYaKFTE", [1, 2])) == .targetNotFound)
  }

  @Test func `a method of another type, and what is none, is refused before it is looked up`() {
    for target in [target("4openyyYaKFTE", Gate.self), "", "nonsense", "$s"] {
      let error = #expect(throws: IorunError.self) {
        try process.actors.methods.method(target, of: Lamp.self)
      }
      #expect(error?.code == .targetNotFound)
    }
  }

  @Test func `damaged names are no methods, or methods that are not found`() async throws {
    var generator = SeededGenerator(seed: 11)
    let good = Array("3addyS2i_SitYaKFTE".utf8)
    for _ in 0..<2000 {
      var name = good
      for _ in 0...Int.random(in: 0..<3, using: &generator) {
        name[Int.random(in: name.indices, using: &generator)] = UInt8.random(
          in: 32...126, using: &generator)
      }
      let target = target(String(decoding: name, as: UTF8.self))
      _ = process.actors.methods.name(of: target)
      _ = try process.actors.methods.method(target, of: Lamp.self)
    }
  }

  @Test func `a person's name of a method is the part before its arguments`() {
    let methods = process.actors.methods
    #expect(methods.name(of: target("3addyS2i_SitYaKFTE")) == "add")
    #expect(methods.name(of: target("10brightnessSiyYaKFTE")) == "brightness")
    #expect(methods.name(of: "") == "")
  }
}

distributed actor Lamp {
  typealias ActorSystem = ClusterActorSystem
  distributed var brightness: Int { 1 }
  distributed func add(_ a: Int, _ b: Int) -> Int { a + b }
  distributed func turn() {}
  distributed func `break`() throws { throw IorunError(.wrongState, "it is broken") }
}

distributed actor Gate {
  typealias ActorSystem = ClusterActorSystem
  distributed func open() {}
}
