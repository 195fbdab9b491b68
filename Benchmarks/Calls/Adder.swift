internal import Distributed
internal import IorunRuntime

/// The smallest call there is: two whole numbers there, one back.
distributed actor Adder {
  typealias ActorSystem = MeshActorSystem

  static let name = "adder"

  distributed func add(_ left: Int, _ right: Int) -> Int { left + right }
}
