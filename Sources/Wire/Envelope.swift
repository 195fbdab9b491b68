/// What the actor runtimes of two peers say to each other: the payload of a data packet.
public enum Envelope: Sendable, Hashable {
  /// A call of a distributed method.
  case call(Call)
  /// How a call ended.
  case reply(id: UInt64, Outcome)
  /// The caller gave up: a call that has not started is dropped.
  case cancel(id: UInt64, actor: String)

  /// A call of a distributed method.
  public struct Call: Sendable, Hashable {
    /// Unique among the calls of one incarnation of the caller.
    public var id: UInt64
    /// The actor's name at the receiving peer.
    public var actor: String
    /// The mangled name that the Swift compiler gave the method.
    public var target: String
    /// A CBOR sequence (RFC 8742), one item an argument.
    public var arguments: [UInt8]
    /// How long the caller waits.
    public var timeoutMilliseconds: UInt32

    /// Makes a call.
    public init(
      id: UInt64, actor: String, target: String, arguments: [UInt8], timeoutMilliseconds: UInt32
    ) {
      self.id = id
      self.actor = actor
      self.target = target
      self.arguments = arguments
      self.timeoutMilliseconds = timeoutMilliseconds
    }
  }

  /// How a call ended.
  public enum Outcome: Sendable, Hashable {
    /// It returned one CBOR item.
    case value([UInt8])
    /// It returned `Void`.
    case nothing
    /// It threw.
    case failure(RemoteFailure)
  }

  /// An error on its way to the caller.
  public struct RemoteFailure: Sendable, Hashable {
    /// The number behind `IOR-`.
    public var code: Int
    /// What happened.
    public var message: String
    /// What to do about it, or empty.
    public var remedy: String
    /// The error underneath, or empty.
    public var cause: String
    /// The registered name of the error's own type, or empty.
    public var typeName: String
    /// The error itself as one CBOR item, where `typeName` is given.
    public var value: [UInt8]

    /// Describes an error.
    public init(
      code: Int, message: String, remedy: String = "", cause: String = "", typeName: String = "",
      value: [UInt8] = []
    ) {
      self.code = code
      self.message = message
      self.remedy = remedy
      self.cause = cause
      self.typeName = typeName
      self.value = value
    }
  }
}
