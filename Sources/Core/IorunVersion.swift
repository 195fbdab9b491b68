/// What this build is called and what it speaks.
public enum IorunVersion {
  /// The release, as `iorun --version` prints it.
  public static let release = "0.2.0"

  /// The versions of the wire protocol that this build speaks; peers without a common one refuse each
  /// other with `versionMismatch`. Version 1 is not spoken any more: what others carried of it was not
  /// sealed.
  public static let wireProtocols = ProtocolVersions(oldest: 2, newest: 2)

  /// The newest of them.
  public static var wireProtocol: UInt32 { UInt32(clamping: wireProtocols.newest) }
}
