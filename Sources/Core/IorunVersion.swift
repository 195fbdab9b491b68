/// What this build is called and what it speaks.
public enum IorunVersion {
  /// The release, as `iorun --version` prints it.
  public static let release = "0.2.0"

  /// The wire protocol's number; peers with different numbers refuse each other with
  /// `versionMismatch`.
  public static let wireProtocol: UInt32 = 2
}
