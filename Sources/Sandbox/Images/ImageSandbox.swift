internal import CSandbox
internal import Foundation
public import IorunCore
internal import Synchronization

/// Unpacks images where a harmful one can do no harm: in a sandbox of the machine's driver, as a user
/// who owns nothing but the folder that is written to, without a network, with bounds for memory,
/// processes and time. Whatever an archive does to the program that reads it stays there.
public struct ImageSandbox: Sendable {
  /// The first argument of the program that unpacks.
  public static let argument = "__unpack"

  private let driver: any SandboxDriver
  private let root: HostRoot
  private let firstUser: UInt32

  private static let layout = "/layout"
  private static let output = "/unpacked"
  private static let answerLimit = 1 << 20

  /// Prepares it. Blocks.
  ///
  /// - Parameters:
  ///   - folder: for the root of its sandboxes; an absolute path.
  ///   - program: one that calls ``run(_:)`` first thing, as iorun does.
  ///   - firstUser: of the user ids that are no other sandbox's; see ``SandboxSpec/firstUser``.
  /// - Throws: what making folders throws.
  public init(
    driver: any SandboxDriver, folder: String, program: String, libraryFolders: [String],
    firstUser: UInt32
  ) throws {
    self.driver = driver
    self.firstUser = firstUser
    root = try HostRoot(at: folder, program: program, libraryFolders: libraryFolders)
    for place in [Self.layout, Self.output] {
      try SandboxFolder.make(folder + place, mode: 0o755)
    }
  }

  /// Unpacks the image of that digest from an image layout.
  ///
  /// - Parameters:
  ///   - layout: the layout's folder; everybody can read its files.
  ///   - folder: is made; its `root` is the image's then.
  ///   - name: of the sandbox, unique on this node.
  ///   - places: what the image must have for the sandboxes in which it is used.
  /// - Throws: as ``ImageLayout/unpack(digest:into:temporary:limits:places:)``; `sandboxFailed`.
  public func unpack(
    _ digest: Digest, from layout: String, into folder: String, name: String,
    limits: ImageUnpacker.Limits, places: ImageUnpacker.Places, within time: Duration
  ) async throws -> ImageLayout.Defaults {
    let order = Order(
      digest: digest.description, bytes: limits.bytes.rawValue, entries: limits.entries,
      ratio: limits.ratio, folders: places.folders, files: places.files,
      reserved: places.reserved)
    let text = String(decoding: try JSONEncoder().encode(order), as: UTF8.self)
    let (spec, capture) = try await Blocking.run {
      try SandboxFolder.make(folder, mode: 0o755)
      var spec = SandboxSpec(
        name: name, root: root.folder, command: [root.programInside, Self.argument, text],
        limits: SandboxLimits(
          memory: .gibi(1), processes: 32, milliCPUs: 4000, temporary: .mebi(1),
          sharedMemory: .mebi(1), openFiles: 256, fileSize: limits.bytes),
        environment: ["PATH": "/usr/bin:/bin"], firstUser: firstUser)
      guard chown(folder, spec.hostUser, spec.hostUser) == 0 else {
        throw IorunError.system("cannot give away", folder, errno: errno)
      }
      spec.binds =
        root.binds + [
          .init(layout, at: Self.layout), .init(folder, at: Self.output, isWritable: true),
        ]
      return (spec, try SandboxCapture())
    }
    let isLate = Late()
    let process = try await Blocking.run { try driver.launch(spec, streams: capture.streams) }
    let watchdog = Task {
      try await Task.sleep(for: time)
      isLate.set()
      process.kill()
    }
    defer { watchdog.cancel() }
    let end = await withTaskCancellationHandler {
      await process.wait()
    } onCancel: {
      Thread.detachNewThread { process.kill() }
    }
    try Task.checkCancellation()
    if isLate.isSet {
      throw IorunError(
        .imageInvalid, "the image could not be unpacked within \(Int(time / .seconds(1))) s",
        remedy: "Use a smaller image")
    }
    let answer = try await Blocking.run { try capture.text(limit: Self.answerLimit) }
    guard let said = try? JSONDecoder().decode(Answer.self, from: Data(answer.utf8)) else {
      throw IorunError(
        end.isOutOfMemory ? .imageInvalid : .sandboxFailed,
        "the image could not be unpacked: \(end.cause) \(answer.prefix(300))",
        remedy: "Build the image again, or see what `iorun doctor` says of sandboxes")
    }
    if let defaults = said.defaults, end.cause.isSuccess { return defaults }
    throw IorunError(
      said.code.map { IorunError.Code(rawValue: $0) } ?? .imageInvalid,
      said.message ?? "the image could not be unpacked",
      remedy: "Build or fetch the image again")
  }

  /// What the program does inside, with the arguments that it was called with. Returns its exit status.
  public static func run(_ arguments: [String]) -> Int32 {
    var answer = Answer()
    do {
      guard arguments.count == 3,
        let order = try? JSONDecoder().decode(Order.self, from: Data(arguments[2].utf8)),
        let digest = Digest(order.digest)
      else { throw IorunError(.specInvalid, "this is no order to unpack an image") }
      answer.defaults = try ImageLayout(folder: layout).unpack(
        digest: digest, into: output + "/root", temporary: output + "/layers",
        limits: .init(bytes: Bytes(order.bytes), entries: order.entries, ratio: order.ratio),
        places: .init(folders: order.folders, files: order.files, reserved: order.reserved))
      try? FileManager.default.removeItem(atPath: output + "/layers")
    } catch {
      let known = error as? IorunError
      answer.code = (known?.code ?? .imageInvalid).rawValue
      answer.message = known?.message ?? "\(error)"
    }
    let data = (try? JSONEncoder().encode(answer)) ?? Data()
    FileHandle.standardOutput.write(data)
    return answer.defaults == nil ? 1 : 0
  }

  private struct Order: Codable {
    var digest: String
    var bytes: UInt64
    var entries: Int
    var ratio: UInt64
    var folders: [String: UInt32]
    var files: [String]
    var reserved: [String]
  }

  private struct Answer: Codable {
    var defaults: ImageLayout.Defaults?
    var code: Int?
    var message: String?
  }
}

/// Set once.
private final class Late: Sendable {
  private let value = Mutex(false)
  var isSet: Bool { value.withLock { $0 } }
  func set() { value.withLock { $0 = true } }
}
