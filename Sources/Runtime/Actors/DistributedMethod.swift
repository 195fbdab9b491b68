internal import Distributed
internal import IorunCore
internal import Synchronization

/// What Swift's runtime has to know of a distributed method to call it: the types of its arguments and
/// of its value.
///
/// `executeDistributedTarget` of the Distributed module takes the mangled name of the method apart on
/// every call, three times, which was a sixth of the time of a call. Here the same functions of the
/// Swift runtime are asked once a method. `swift_distributed_execute_target`, which that function
/// calls in the end, is part of the runtime's binary interface since Swift 5.7; the others are public
/// functions of the module.
///
/// Safety of `@unchecked Sendable`: nothing changes after the initializer; the memory lives as long as
/// the object.
final class DistributedMethod: @unchecked Sendable {
  /// The value's type, which can travel; `nil` where the method gives none.
  let value: (any Codable.Type)?
  /// The mangled name.
  private let name: UnsafeMutableBufferPointer<UInt8>
  private let arguments: UnsafeMutableBufferPointer<any Any.Type>

  /// Looks a method up; `nil` for a generic one, and for what is no method that could be called.
  init?(_ target: String) {
    let text = Array(target.utf8)
    name = .allocate(capacity: max(1, text.count))
    _ = name.initialize(from: text)
    let length = UInt(text.count)
    var types = UnsafeMutableBufferPointer<any Any.Type>(start: nil, count: 0)
    var result: (any Any.Type)?
    if let start = UnsafePointer(name.baseAddress),
      _getGenericEnvironmentOfDistributedTarget(start, length) == nil
    {
      let count = __getParameterCount(start, length)
      if (0...Self.argumentLimit).contains(count) {
        types = .allocate(capacity: max(1, Int(count)))
        if let place = types.baseAddress,
          __getParameterTypeInfo(
            start, length, nil, nil, UnsafeMutableRawPointer(place)._rawValue, Int(count))
            == count
        {
          result = __getReturnTypeInfo(start, length, nil, nil)
        }
      }
    }
    arguments = types
    value = result.flatMap { $0 == Void.self ? nil : $0 as? any Codable.Type }
    // Neither nothing nor something that can travel: Swift says better what is wrong with it.
    if result == nil || (result != Void.self && value == nil) { return nil }
  }

  deinit {
    name.deallocate()
    arguments.deallocate()
  }

  private static let argumentLimit: Int32 = 1000

  /// Calls the method.
  ///
  /// - Returns: its value, encoded; `nil` for a method without one.
  /// - Throws: what the method and `coding` throw; `ExecuteDistributedTargetError` where Swift finds no
  ///   such method.
  nonisolated(nonsending) func call<Coding: CallCoding>(
    on actor: any DistributedActor, _ coding: Coding
  ) async throws -> Coding.Encoded? {
    if let type = value { return try await call(type, actor, coding) }
    // Room for a value without size.
    try await execute(actor, coding, UnsafeMutableRawPointer(name.baseAddress))
    return nil
  }

  nonisolated(nonsending) private func call<Value: Codable, Coding: CallCoding>(
    _ type: Value.Type, _ actor: any DistributedActor, _ coding: Coding
  ) async throws -> Coding.Encoded {
    let room = UnsafeMutablePointer<Value>.allocate(capacity: 1)
    defer { room.deallocate() }
    try await execute(actor, coding, UnsafeMutableRawPointer(room))
    defer { room.deinitialize(count: 1) }
    return try coding.encode(room.pointee)
  }

  /// `room` is for one value of the method's type, which it has afterwards.
  nonisolated(nonsending) private func execute<Coding: CallCoding>(
    _ actor: any DistributedActor, _ coding: Coding, _ room: UnsafeMutableRawPointer?
  ) async throws {
    var decoder = coding.arguments()
    guard let start = name.baseAddress, let types = arguments.baseAddress, let room else { return }
    // The method has written before it returns, and nobody else knows of the room.
    nonisolated(unsafe) let result = room
    nonisolated(unsafe) let argumentTypes = UnsafeMutableRawPointer(types)
    nonisolated(unsafe) let target = UnsafePointer(start)
    try await executeTarget(
      on: actor, target, UInt(name.count), argumentDecoder: &decoder,
      argumentTypes: argumentTypes, resultBuffer: result, substitutions: nil,
      witnessTables: nil, numWitnessTables: 0)
  }
}

/// One call's arguments, and how its value becomes what travels.
protocol CallCoding: Sendable {
  associatedtype Decoder: DistributedTargetInvocationDecoder
  associatedtype Encoded
  func arguments() -> Decoder
  func encode<Value: Codable>(_ value: Value) throws -> Encoded
}

/// The compiler knows this function by its link name, and calls it in the runtime's own way.
@_silgen_name("swift_distributed_execute_target")
private func executeTarget<Decoder: DistributedTargetInvocationDecoder>(
  on actor: AnyObject, _ name: UnsafePointer<UInt8>, _ nameCount: UInt,
  argumentDecoder: inout Decoder, argumentTypes: UnsafeMutableRawPointer,
  resultBuffer: UnsafeMutableRawPointer, substitutions: UnsafeRawPointer?,
  witnessTables: UnsafeRawPointer?, numWitnessTables: UInt
) async throws

/// The methods that were called so far.
final class MethodTable: Sendable {
  private struct Key: Hashable {
    let type: ObjectIdentifier
    let target: String
  }

  private struct State {
    /// What the mangled names of methods begin with, for the types that were looked at.
    var prefixes: [ObjectIdentifier: String] = [:]
    var methods: [Key: DistributedMethod] = [:]
    var names: [String: String] = [:]
  }

  /// More names than any program has methods come from nobody honest.
  private static let limit = 10_000

  private let state = Mutex(State())

  /// The method of that type; `nil` where Swift has to look each time.
  ///
  /// - Throws: `targetNotFound` where the name is not one of a method of the type. Swift runs any
  ///   method of the process that a call names on the actor that it names, without a look at the type.
  func method(_ target: String, of type: any DistributedActor.Type) throws -> DistributedMethod? {
    let key = Key(type: ObjectIdentifier(type), target: target)
    if let method = state.withLock({ $0.methods[key] }) { return method }
    let prefix = state.withLock { state in
      if let prefix = state.prefixes[key.type] { return prefix }
      // The dollar of the beginning would be taken for a private type's.
      let prefix = _mangledTypeName(type) ?? "no method"
      state.prefixes[key.type] = prefix
      return prefix
    }
    guard target.hasPrefix("$s"), MangledMethod.isMethod(String(target.dropFirst(2)), of: prefix)
    else {
      throw IorunError.noSuchMethod(of: "the actor")
    }
    guard let method = DistributedMethod(target) else { return nil }
    state.withLock { if $0.methods.count < Self.limit { $0.methods[key] = method } }
    return method
  }

  /// What a person calls the method: `add` for the mangled name of `Counter.add(_:)`.
  func name(of target: String) -> String {
    if let name = state.withLock({ $0.names[target] }) { return name }
    let words = RemoteCallTarget(target).description.prefix { $0 != "(" }.split(separator: ".")
    let name = String((words.last == "getter" ? words.dropLast() : words[...]).last ?? "")
    state.withLock { if $0.names.count < Self.limit { $0.names[target] = name } }
    return name
  }
}
