internal import Distributed
internal import IorunRuntime

/// The smallest call there is: two whole numbers there, one back.
distributed actor Adder: MailboxTraits {
  typealias ActorSystem = MeshActorSystem

  static let name = "adder"
  /// An addition is short.
  static let runsOnTransport = true

  distributed func add(_ left: Int, _ right: Int) -> Int { left + right }
}
