import Glibc

/// Why namespaces or a link between them could not be made.
public struct WanLinkError: Error, CustomStringConvertible {
  /// What failed, and why.
  public var description: String

  /// Says what failed, and why.
  public init(_ description: String) { self.description = description }

  /// Passes on what a C function returned, unless that is a negated `errno`.
  @discardableResult
  static func check(_ result: Int32, _ what: String) throws -> Int32 {
    guard result < 0 else { return result }
    throw WanLinkError("cannot \(what): \(String(cString: strerror(-result)))")
  }
}
