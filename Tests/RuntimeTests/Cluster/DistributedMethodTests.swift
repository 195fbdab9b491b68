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
    for target in [
      target("4openyyYaKFTE", Gate.self), target("4glowyyYaKFTE", Lamp.Wick.self),
      "", "nonsense", "$s",
    ] {
      let error = #expect(throws: IorunError.self) {
        try process.actors.methods.method(target, of: Lamp.self)
      }
      #expect(error?.code == .targetNotFound)
    }
  }

  @Test func `a private type's method is its own, by the compiler's name for it`() throws {
    let name = try #require(_mangledTypeName(Secret.self))
    try #require(name.contains("yXZ"))
    let module = try #require(name.split(separator: "$").first?.prefix { _ in true })
    let place = module.lastIndex { !$0.isNumber }.map { module[...$0] } ?? ""
    let hash = "33_" + String(repeating: "0123456789ABCDEF", count: 2) + "LL"
    let own = "\(place)6Secret\(hash)C4tellSiyYaKFTE"
    #expect(MangledMethod.isMethod(own, of: name))
    // Both as Swift 6.3 wrote them for a private actor in a public one.
    #expect(
      MangledMethod.isMethod(
        "1a4LampC6Hidden33_EFF83A1F47B777EA672D48C97C71346FLLC5wicksSiyYaKFTE",
        of: "1a4LampC13$56185be31230yXZ6HiddenC"))
    for other in [
      "\(place)6SecretC4tellSiyYaKFTE", "\(place)5Other\(hash)C4tellSiyYaKFTE",
      "\(place)6Secret\(hash)C4WickC4tellSiyYaKFTE", "\(place)6Secret", "",
    ] { #expect(!MangledMethod.isMethod(other, of: name), "\(other)") }
  }

  /// Names as the compiler makes them.
  @Test func `methods, those of extensions and those of nested types are told apart`() {
    for name in [
      "3addyS2i_SitYaKFTE", "10brightnessSiyYaKFTE", "3add1a1bS2i_SitYaKFTE",
      "4load4from10Foundation4DataVSS_tYaKFTE", "5OtherE4turnyyYaKFTE", "0A4TurnyyYaKFTE",
      "4turn33_0123456789ABCDEF0123456789ABCDEFLLyyYaKFTE", "", "9", "0", "99999999999add",
    ] { #expect(!MangledMethod.isOfNestedType(Substring(name).utf8), "\(name)") }
    for name in [
      "4WickC4glowyyYaKFTE", "0A4WickC4glowyyYaKFTE", "5StateV4Wick",
      "4Wick33_0123456789ABCDEF0123456789ABCDEFLLC4glowyyYaKFTE",
    ] { #expect(MangledMethod.isOfNestedType(Substring(name).utf8), "\(name)") }
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
      _ = try? process.actors.methods.method(target, of: Lamp.self)
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

  distributed actor Wick {
    typealias ActorSystem = ClusterActorSystem
    distributed func glow() {}
  }

}

private distributed actor Secret {
  typealias ActorSystem = ClusterActorSystem
  distributed func tell() -> Int { 7 }
}

distributed actor Gate {
  typealias ActorSystem = ClusterActorSystem
  distributed func open() {}
}
