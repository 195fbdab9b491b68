public import IorunCore

/// How much one folder may hold. Checked where a folder is read and again where its manifest is
/// received, because the sender may be anybody.
public enum ContentLimits {
  /// Files and symbolic links in one folder.
  public static let entries = 100_000
  /// Bytes (UTF-8) of one path below the folder.
  public static let pathBytes = 1024
  /// Bytes of all files of one folder together.
  public static let folderSize = Bytes.gibi(64)
  /// Bytes of one encoded manifest.
  public static let manifestSize = Bytes.mebi(64)
  /// Names that are looked at before a search for outputs gives up.
  static let visitedNames = 1_000_000
}
