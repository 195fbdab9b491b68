internal import Foundation
public import IorunCore
internal import IorunCrypto
internal import Synchronization

/// The encrypted scratch of one agent: the best backend that works here, and what an agent before left
/// behind, which is torn down first.
public final class ScratchPool: Sendable {
  /// The backend that is used; `nil` where none works here.
  public let backend: (any EncryptedScratch)?
  /// Why better ones are not, by kind.
  public let refusals: [ScratchKind: String]

  private let folder: String
  private let ready = Mutex<ReadyScratch?>(nil)
  private let isShared = Mutex(false)

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
          at: folder + "/probe-" + Self.suffix(), size: .mebi(16), canary: SecureRandom.bytes(4096)
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

  /// From now on, until ``close()``, scratch that is closed goes from the sandboxes of other leases, too:
  /// each that starts while it is mounted has a copy of the mount, and would keep it where the machine's
  /// mounts are private, as in containers.
  public func shareMounts() {
    isShared.withLock { isShared in
      if !isShared { isShared = ScratchMounts.share(folder) }
    }
  }

  /// Makes scratch ahead from now on, until ``close()``: `count` of the size that was asked for last, and
  /// of `size` until then. What a killed agent had ready the next one tears down.
  public func makeAhead(_ count: Int, size: Bytes) {
    guard let backend, count > 0 else { return }
    let folder = folder
    ready.withLock { ready in
      guard ready == nil else { return }
      ready = ReadyScratch(count, size: size) { size in
        // Two agents of one machine may not meet: a mapping's name is the machine's.
        try backend.openChecked(
          at: folder + "/ready-" + Self.suffix(), size: size, canary: SecureRandom.bytes(4096))
      }
    }
  }

  /// How many are ready now.
  public var readyCount: Int { ready.withLock { $0 }?.readyCount ?? 0 }

  /// Removes what was made ahead; all scratch is closed. Blocks for some tenths of a second for each.
  public func close() {
    let last = ready.withLock { ready in
      defer { ready = nil }
      return ready
    }
    last?.close()
    let wasShared = isShared.withLock { isShared in
      defer { isShared = false }
      return isShared
    }
    if wasShared { ScratchMounts.unshare(folder) }
  }

  private static func suffix() throws -> String {
    try SecureRandom.bytes(4).map { String($0, radix: 16) }.joined()
  }

  /// Opens scratch for one lease, one that was made ahead where there is one of that size: then `name`
  /// is not in its path. Blocks for up to a second.
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
    if let mount = ready.withLock({ $0 })?.take(size) { return mount }
    return try make(backend, name, size: size)
  }

  /// Opens scratch that is the agent's own and no lease's: what it keeps of several of them. It is not
  /// one of those that were made ahead, and its path ends in `name` and some letters. Blocks as
  /// ``open(_:size:)``.
  ///
  /// - Throws: as ``open(_:size:)``.
  public func openOwn(_ name: String, size: Bytes) throws -> ScratchMount {
    guard let backend else {
      throw IorunError(
        .sandboxUnavailable, "no encrypted scratch works here: \(refusals.values.sorted())",
        remedy: "Install gocryptfs and e2fsprogs, and run the node as root")
    }
    return try make(backend, "\(name)-\(Self.suffix())", size: size)
  }

  private func make(
    _ backend: any EncryptedScratch, _ name: String, size: Bytes
  ) throws -> ScratchMount {
    try backend.openChecked(
      at: folder + "/" + name, size: size, canary: SecureRandom.bytes(4096))
  }
}
