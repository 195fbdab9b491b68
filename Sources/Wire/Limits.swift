/// Bounds on everything that crosses a socket. Both sides check them: the sender so that its caller
/// gets an error, the receiver because a sender may lie.
public enum WireLimits {
  /// The largest payload of one packet, in bytes.
  public static let payloadBytes = 1 << 20

  /// How much longer than its payload a sealed packet's content may be, in bytes.
  public static let sealBytes = 64

  /// The longest key or proof in a greeting, in bytes.
  public static let greetingPartBytes = 64

  /// A membership certificate in a link's greeting.
  public static let certificateBytes = 8192

  /// The largest frame, in bytes: a payload and its packet header.
  public static let frameBytes = payloadBytes + 1024

  /// The largest ZeroMQ message, in bytes (`ZMQ_MAXMSGSIZE`). libzmq closes a connection that
  /// exceeds it before the bytes reach us.
  public static let messageBytes = frameBytes + 4

  /// Frames are gathered into one message up to about this many bytes.
  public static let batchBytes = 64 * 1024

  /// The deepest nesting of arrays and maps in an argument or a result.
  public static let codecDepth = 64

  /// The longest actor name or method name, in bytes.
  public static let nameBytes = 1024
}
