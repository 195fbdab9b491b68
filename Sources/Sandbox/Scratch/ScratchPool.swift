internal import Foundation
public import IorunCore
internal import IorunCrypto

/// The encrypted scratch of one agent: the best backend that works here, and what an agent before left
/// behind, which is torn down first.
public struct ScratchPool: Sendable {
  /// The backend that is used; `nil` where none works here.
  public let backend: (any EncryptedScratch)?
  /// Why better ones are not, by kind.
  public let refusals: [ScratchKind: String]

  private let folder: String

  /// Tears down leftovers below `folder` and tries the backends in order with real scratch of 16 MiB.
  /// Blocks for a second or so.
  ///
  /// - Throws: `scratchFailed` where leftovers cannot be removed, and what making folders throws.
  public init(
    folder: String,
    backends: [any EncryptedScratch] = [DMCryptScratch(), GocryptfsScratch(), MemoryScratch()]
  ) throws {
    self.folder = folder
    // Below it are mounts that others must be able to pass through to theirs.
    try SandboxFolder.make(folder, mode: 0o700)
    try ScratchMounts.removeLeftovers(below: folder)
    var refusals: [ScratchKind: String] = [:]
    var chosen: (any EncryptedScratch)?
    for backend in backends where chosen == nil {
      do {
        try backend.openChecked(
          at: folder + "/probe", size: .mebi(16), canary: SecureRandom.bytes(4096)
        ).close()
        chosen = backend
      } catch {
        refusals[backend.kind] = String(describing: error)
        try? ScratchMounts.removeLeftovers(below: folder)
      }
    }
    backend = chosen
    self.refusals = refusals
  }

  /// Opens scratch for one lease. Blocks for up to a second.
  ///
  /// - Throws: `sandboxUnavailable` where no backend works here, else as
  ///   ``EncryptedScratch/open(at:size:)``; `specInvalid` for a name that is no plain file name.
  public func open(_ name: String, size: Bytes) throws -> ScratchMount {
    guard let backend else {
      throw IorunError(
        .sandboxUnavailable, "no encrypted scratch works here: \(refusals.values.sorted())",
        remedy: "Install gocryptfs and e2fsprogs, and run the node as root")
    }
    guard !name.isEmpty, name.utf8.count <= 100, !name.hasPrefix("."), !name.contains("/") else {
      throw IorunError(.specInvalid, "'\(name.prefix(100))' cannot be the name of scratch")
    }
    return try backend.openChecked(
      at: folder + "/" + name, size: size, canary: SecureRandom.bytes(4096))
  }
}
