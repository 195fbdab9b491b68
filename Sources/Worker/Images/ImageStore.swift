import Foundation
import Glibc
import IorunContract
import IorunCore
import IorunSandbox
import Logging
import Synchronization

/// The images of a node: each is fetched and unpacked once, by its digest, for whichever ranks want it,
/// and kept while there is room.
///
/// Images lie on the machine's own disk and are not encrypted: who has their digest may have them.
actor ImageStore {
  /// One that is ready.
  struct Image: Sendable, Hashable, Codable {
    /// The folder of its root.
    var root: String
    /// How its own program is to be run.
    var defaults: ImageLayout.Defaults
    /// What it takes on the disk.
    var size: Bytes
  }

  /// How far one is that is being made.
  enum Progress: Sendable, Hashable {
    case fetching(done: Bytes, total: Bytes)
    case unpacking

    /// For the buyer.
    var text: String {
      switch self {
      case .fetching(_, .zero): "the image is being fetched"
      case .fetching(let done, let total): "the image is being fetched: \(done) of \(total)"
      case .unpacking: "the image is being unpacked"
      }
    }
  }

  /// Puts the layout that came with a job into a folder.
  typealias LayoutSource = @Sendable (_ folder: String) async throws -> Void

  /// Images that are made at one time; more wait.
  static let mostAtOnce = 3
  /// How long one may take to unpack.
  static let unpackingTime = Duration.seconds(1800)

  private struct Making {
    var task: Task<Image, any Error>
    var waiters: Set<LeaseID>
  }

  private let folder: String
  private let limit: Bytes
  private let sandbox: ImageSandbox
  private let internet: InternetAccess?
  private let registries: [OwnRegistry]
  private let logger: Logger
  private var ready: [Digest: Image] = [:]
  private var making: [Digest: Making] = [:]
  private var users: [Digest: Set<LeaseID>] = [:]
  private let board = ProgressBoard()
  /// For the names of sandboxes.
  private var count = 0

  /// Opens the store in a folder that is its alone, and forgets what was half made. Blocks.
  ///
  /// - Parameters:
  ///   - limit: the most that all images together take; one image may take as much.
  ///   - internet: the way to registries; `nil`: only those of the owner are reached.
  /// - Throws: `fileSystem`.
  init(
    folder: String, limit: Bytes, sandbox: ImageSandbox, internet: InternetAccess?,
    registries: [OwnRegistry], logger: Logger
  ) throws {
    self.folder = folder
    self.limit = limit
    self.sandbox = sandbox
    self.internet = internet
    self.registries = registries
    self.logger = logger
    let manager = FileManager.default
    do {
      try manager.createDirectory(
        atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    } catch {
      throw FileFailure.error(error, "cannot make", folder)
    }
    // What is on the way has a name that is no digest.
    for name in (try? manager.contentsOfDirectory(atPath: folder)) ?? [] {
      let path = folder + "/" + name
      if let digest = Digest(name),
        let record = FileManager.default.contents(atPath: path + "/image.json"),
        let image = try? JSONDecoder().decode(Image.self, from: record),
        image.root == path + "/root"
      {
        ready[digest] = image
      } else {
        try? manager.removeItem(atPath: path)
      }
    }
  }

  /// The store of a node; `nil` where no rank has a root of its own. Throws as `init`, and
  /// `specInvalid` for a registry that is none.
  static func open(
    for sealed: SealedRanks?, _ membership: NodeMembership, stateFolder: String, disk: Bytes,
    internet: InternetAccess?, logger: Logger
  ) async throws -> ImageStore? {
    guard let sealed else { return nil }
    let registries = try (membership.registries ?? []).map { try OwnRegistry($0) }
    return try await Blocking.run {
      try ImageStore(
        folder: stateFolder + "/images", limit: min(.gibi(64), Bytes(disk.rawValue / 2)),
        sandbox: sealed.images, internet: internet, registries: registries, logger: logger)
    }
  }

  /// The image, made where it is not there; it stays until the lease lets go of it.
  ///
  /// - Parameter layout: for an image of the job's own.
  /// - Throws: `imageInvalid`, `notFound`, `diskFull`, and what is the node's fault and not the job's:
  ///   `networkSetup`, `sandboxFailed`.
  func acquire(
    _ reference: ImageReference, for lease: LeaseID, layout: @escaping LayoutSource
  ) async throws -> Image {
    let digest = reference.digest
    users[digest, default: []].insert(lease)
    do {
      while true {
        try Task.checkCancellation()
        if let image = ready[digest] {
          touch(image)
          return image
        }
        if let under = making[digest] {
          // Given up a moment ago: it is made anew.
          guard !under.waiters.isEmpty else {
            _ = await under.task.result
            continue
          }
          making[digest]?.waiters.insert(lease)
          return try await wait(for: under.task)
        }
        guard making.count >= Self.mostAtOnce, let other = making.values.first else { break }
        _ = await other.task.result
      }
      let task = Task { try await self.make(reference, layout) }
      making[digest] = Making(task: task, waiters: [lease])
      return try await wait(for: task)
    } catch {
      release(lease)
      throw error
    }
  }

  /// The lease needs its image no more.
  func release(_ lease: LeaseID) {
    for (digest, leases) in users where leases.contains(lease) {
      users[digest]?.remove(lease)
      if users[digest]?.isEmpty == true { users[digest] = nil }
      making[digest]?.waiters.remove(lease)
      // Nobody waits for it any more.
      if making[digest]?.waiters.isEmpty == true { making[digest]?.task.cancel() }
    }
  }

  /// How far an image is that is being made; `nil` where it is not.
  nonisolated func progress(of reference: ImageReference) -> Progress? {
    board.of(reference.digest)
  }

  private func wait(for task: Task<Image, any Error>) async throws -> Image {
    // The stream ends when this task is cancelled: a lease that is given up must not wait for what
    // others still want.
    let (results, sink) = AsyncStream<Result<Image, any Error>>.makeStream()
    Task {
      sink.yield(await task.result)
      sink.finish()
    }
    for await result in results { return try result.get() }
    throw CancellationError()
  }

  private func make(
    _ reference: ImageReference, _ layout: @escaping LayoutSource
  ) async throws -> Image {
    let digest = reference.digest
    count += 1
    let work = "\(folder)/.\(digest)"
    defer {
      making[digest] = nil
      board.set(nil, of: digest)
    }
    board.set(.fetching(done: .zero, total: .zero), of: digest)
    do {
      try await Blocking.run {
        try? FileManager.default.removeItem(atPath: work)
        guard mkdir(work, 0o700) == 0 else {
          throw IorunError.system("cannot make", work, errno: errno)
        }
      }
      switch reference.source {
      case .layout: try await layout(work + "/layout")
      case .registry(let host, _): try await fetch(reference, from: host, into: work + "/layout")
      }
      try Task.checkCancellation()
      board.set(.unpacking, of: digest)
      let defaults = try await sandbox.unpack(
        digest, from: work + "/layout", into: work + "/unpacked", name: "image-\(count)",
        limits: .init(bytes: limit), places: RankSeal.places, within: Self.unpackingTime)
      let place = "\(folder)/\(digest)"
      let image = try await Blocking.run {
        var image = Image(root: place + "/root", defaults: defaults, size: .zero)
        image.size = Self.size(of: work + "/unpacked/root")
        let record = [UInt8](try JSONEncoder().encode(image))
        try? FileManager.default.removeItem(atPath: place)
        guard mkdir(place, 0o755) == 0, rename(work + "/unpacked/root", place + "/root") == 0
        else { throw IorunError.system("cannot place", place, errno: errno) }
        let file = try OpenFile(place + "/image.json", O_CREAT | O_TRUNC | O_WRONLY)
        try file.write(record)
        try? FileManager.default.removeItem(atPath: work)
        return image
      }
      ready[digest] = image
      await makeRoom(except: digest)
      return image
    } catch {
      // In a task of its own: this one may be cancelled.
      await Task {
        _ = try? await Blocking.run { try FileManager.default.removeItem(atPath: work) }
      }.value
      logger.notice("an image could not be made ready", metadata: ["error": "\(error)"])
      throw error
    }
  }

  private func fetch(
    _ reference: ImageReference, from host: String, into folder: String
  ) async throws {
    let own = registries.first { $0.host == host }
    guard own != nil || internet != nil else {
      throw IorunError(
        .networkSetup, "this node reaches no registry of the internet",
        remedy: "Its owner may name \(host): `iorun join --registry \(host)`")
    }
    let (internet, limit, board) = (internet, limit, board)
    let isWanted = Wanted()
    try await withTaskCancellationHandler {
      // It takes minutes: on a thread of its own.
      try await OwnThread.run("iorun-image") {
        let network = own == nil ? try internet?.network() : nil
        defer { network?.close() }
        try ImageRegistry(network: network, allowsPlainHTTP: own?.isPlain ?? false).fetch(
          reference, into: folder, limits: .init(bytes: limit)
        ) { done, total in
          board.set(.fetching(done: done, total: total), of: reference.digest)
          return isWanted.value
        }
      }
    } onCancel: {
      isWanted.end()
    }
  }

  /// Removes what nobody uses, what was used longest ago first, until all fits.
  private func makeRoom(except kept: Digest) async {
    var total = ready.values.reduce(UInt64(0)) { $0 + $1.size.rawValue }
    guard total > limit.rawValue else { return }
    let idle = ready.filter { $0.key != kept && users[$0.key] == nil }
      .sorted { Self.lastUse($0.value) < Self.lastUse($1.value) }
    for (digest, image) in idle where total > limit.rawValue {
      ready[digest] = nil
      total -= min(total, image.size.rawValue)
      let place = "\(folder)/\(digest)"
      _ = try? await Blocking.run { try FileManager.default.removeItem(atPath: place) }
    }
  }

  private func touch(_ image: Image) {
    utimes((image.root as NSString).deletingLastPathComponent + "/image.json", nil)
  }

  private static func lastUse(_ image: Image) -> Int {
    var status = stat()
    let record = (image.root as NSString).deletingLastPathComponent + "/image.json"
    return stat(record, &status) == 0 ? status.st_mtim.tv_sec : 0
  }

  private static func size(of folder: String) -> Bytes {
    let names = FileManager.default.enumerator(atPath: folder)
    var blocks: UInt64 = 0
    while let name = names?.nextObject() as? String {
      var status = stat()
      if lstat(folder + "/" + name, &status) == 0 {
        blocks += UInt64(clamping: status.st_blocks) / UInt64(max(1, status.st_nlink))
      }
    }
    return Bytes(blocks * 512)
  }
}

/// How far the images are, for whoever shows it.
private final class ProgressBoard: Sendable {
  private let entries = Mutex<[Digest: ImageStore.Progress]>([:])

  func of(_ digest: Digest) -> ImageStore.Progress? { entries.withLock { $0[digest] } }

  func set(_ progress: ImageStore.Progress?, of digest: Digest) {
    entries.withLock { $0[digest] = progress }
  }
}

/// True until it ends.
private final class Wanted: Sendable {
  private let state = Mutex(true)
  var value: Bool { state.withLock { $0 } }
  func end() { state.withLock { $0 = false } }
}

/// Work that blocks for long: it must not take a place of the pool of `Blocking`.
private enum OwnThread {
  static func run<Result: Sendable>(
    _ name: String, _ work: @escaping @Sendable () throws -> Result
  ) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
      let thread = Thread { continuation.resume(with: Swift.Result { try work() }) }
      thread.name = name
      thread.start()
    }
  }
}
