internal import Synchronization

/// The names of types with their modules, by which tasks and actors are registered and asked for. Swift
/// makes such a name anew each time, which takes a tenth of a task's submission: they are kept.
enum TypeNames {
  private static let names = Mutex<[ObjectIdentifier: String]>([:])

  /// A type's name with its module.
  static func name(of type: Any.Type) -> String {
    names.withLock { names in
      if let name = names[ObjectIdentifier(type)] { return name }
      let name = String(reflecting: type)
      names[ObjectIdentifier(type)] = name
      return name
    }
  }
}
