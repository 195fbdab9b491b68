internal import CSandbox
internal import Foundation
internal import IorunCore
internal import IorunCrypto

/// An image in a folder of the OCI image layout (image-spec 1.0, image-layout.md): an index, and blobs
/// named by their SHA-256. Every blob is checked before a byte of it is believed.
public struct ImageLayout: Sendable {
  /// How an image's own program is to be run, where it says so.
  public struct Defaults: Hashable, Sendable {
    /// The program and its arguments.
    public var command: [String]
    /// Its environment, `NAME=VALUE`.
    public var environment: [String]
    /// The folder to begin in.
    public var folder: String
  }

  private struct Descriptor: Decodable {
    struct Platform: Decodable {
      var architecture: String
    }
    var mediaType: String?
    var digest: String
    var size: UInt64
    var platform: Platform?
    var annotations: [String: String]?
  }
  private struct Index: Decodable { var manifests: [Descriptor] }
  private struct Manifest: Decodable {
    var config: Descriptor
    var layers: [Descriptor]
  }
  private struct Configuration: Decodable {
    struct Run: Decodable {
      var Env: [String]?
      var Entrypoint: [String]?
      var Cmd: [String]?
      var WorkingDir: String?
    }
    struct RootFileSystem: Decodable { var diff_ids: [String] }
    var config: Run?
    var rootfs: RootFileSystem
  }

  static let refName = "org.opencontainers.image.ref.name"
  static let documentLimit: UInt64 = 4 << 20
  static let layerLimit = 512

  private let folder: String

  /// Names a layout; nothing is read yet.
  public init(folder: String) { self.folder = folder }

  /// Unpacks the image into a folder that is made for it.
  ///
  /// - Parameters:
  ///   - reference: which image of the layout; `nil` where it has only one.
  ///   - temporary: a folder for one decompressed layer at a time.
  /// - Throws: `imageInvalid` for a digest that is wrong, or what ``ImageUnpacker`` refuses;
  ///   `notFound` for a reference that is not there.
  public func unpack(
    _ reference: String? = nil, into root: String, temporary: String,
    limits: ImageUnpacker.Limits = .init()
  ) throws -> Defaults {
    let index = try decode(Index.self, try document(folder + "/index.json"))
    let manifest = try manifest(index, reference, depth: 0)
    let configuration = try decode(Configuration.self, try blob(manifest.config))
    let ids = configuration.rootfs.diff_ids
    guard manifest.layers.count == ids.count, ids.count <= Self.layerLimit else {
      throw Self.invalid("its layers are not those of its configuration")
    }
    try SandboxFolder.make(temporary, mode: 0o700)
    var unpacker = try ImageUnpacker(into: root, limits: limits)
    for (layer, id) in zip(manifest.layers, ids) {
      let archive = temporary + "/layer.tar"
      defer { unlink(archive) }
      try decompress(layer, to: archive, limit: limits.bytes)
      guard try Self.digest(archive) == (try Self.digest(named: id)) else {
        throw Self.invalid("a layer's content has another digest than its configuration says")
      }
      try unpacker.addLayer(archive)
    }
    let run = configuration.config
    return Defaults(
      command: (run?.Entrypoint ?? []) + (run?.Cmd ?? []), environment: run?.Env ?? [],
      folder: run?.WorkingDir.flatMap { $0.isEmpty ? nil : $0 } ?? "/")
  }

  private func manifest(_ index: Index, _ reference: String?, depth: Int) throws -> Manifest {
    let architecture = SeccompProfile.Architecture.current == .arm64 ? "arm64" : "amd64"
    let matches = index.manifests.filter { entry in
      (reference == nil || entry.annotations?[Self.refName] == reference)
        && (entry.platform == nil || entry.platform?.architecture == architecture)
    }
    guard let first = matches.first, matches.count == 1 || depth > 0 else {
      throw IorunError(
        .notFound,
        matches.isEmpty
          ? "the layout has no such image for this machine"
          : "the layout has \(matches.count) images",
        remedy: "Name one that it has")
    }
    let bytes = try blob(first)
    if first.mediaType?.contains("index") == true || first.mediaType?.contains("list") == true {
      guard depth < 2 else { throw Self.invalid("its indexes have no end") }
      return try manifest(try decode(Index.self, bytes), nil, depth: depth + 1)
    }
    return try decode(Manifest.self, bytes)
  }

  private func path(_ descriptor: Descriptor) throws -> String {
    folder + "/blobs/sha256/" + (try Self.digest(named: descriptor.digest)).description
  }

  private func blob(_ descriptor: Descriptor) throws -> [UInt8] {
    let bytes = try document(try path(descriptor))
    guard SHA256.digest(of: bytes) == (try Self.digest(named: descriptor.digest)) else {
      throw Self.invalid("a document has another digest than its name says")
    }
    return bytes
  }

  private func document(_ path: String) throws -> [UInt8] {
    let bytes = try OpenFile(path, O_RDONLY | O_NOFOLLOW).read(upTo: Int(Self.documentLimit) + 1)
    guard bytes.count <= Self.documentLimit else { throw Self.invalid("a document is too large") }
    return bytes
  }

  private func decode<Value: Decodable>(_ type: Value.Type, _ bytes: [UInt8]) throws -> Value {
    do {
      return try JSONDecoder().decode(type, from: Data(bytes))
    } catch {
      throw IorunError(.imageInvalid, "a document of the image cannot be read", cause: error)
    }
  }

  // Checks the compressed blob, and only then gives it to a program.
  private func decompress(_ layer: Descriptor, to archive: String, limit: Bytes) throws {
    let source = try path(layer)
    guard try Self.digest(source) == (try Self.digest(named: layer.digest)) else {
      throw Self.invalid("a layer has another digest than its name says")
    }
    let file = try OpenFile(source, O_RDONLY | O_NOFOLLOW)
    let output = try OpenFile(archive, O_CREAT | O_TRUNC | O_RDWR)
    let type = layer.mediaType ?? ""
    let arguments: [String]
    if type.hasSuffix("gzip") {
      arguments = ["gzip", "-dc"]
    } else if type.hasSuffix("tar") {
      arguments = ["cat"]
    } else {
      throw Self.invalid("its layers are neither tar nor gzip: '\(type.prefix(100))'")
    }
    guard let program = InstalledProgram.find(arguments[0]) else {
      throw IorunError(.fileMissing, "\(arguments[0]) is missing", remedy: "Install it")
    }
    let errors = try SandboxCapture()
    // As nobody, with no more to write than the limit and an hour to do it.
    let launch = SandboxLaunch(
      path: program, arguments: arguments, environment: ["PATH": "/usr/bin:/bin"], folder: "/",
      streams: SandboxStreams(
        input: file.descriptor, output: output.descriptor, errors: errors.streams.errors),
      limits: [(Int32(iorun_limit_file_size), limit.rawValue), (Int32(iorun_limit_core), 0)],
      user: geteuid() == 0 ? SandboxSpec.defaultFirstUser - 1 : 0, outOfMemoryScore: 0)
    let pid = try launch.start()
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    guard status == 0 else {
      throw Self.invalid("a layer cannot be decompressed within \(limit)")
    }
  }

  private static func digest(named text: String) throws -> Digest {
    guard text.hasPrefix("sha256:"), let digest = Digest(String(text.dropFirst(7))) else {
      throw invalid("'\(text.prefix(80))' is no SHA-256 digest")
    }
    return digest
  }

  private static func digest(_ path: String) throws -> Digest {
    let file = try OpenFile(path, O_RDONLY | O_NOFOLLOW)
    var hash = RunningSHA256()
    while true {
      let piece = try file.read(upTo: 1 << 20)
      if piece.isEmpty { return hash.digest() }
      hash.update(piece)
    }
  }

  private static func invalid(_ what: String) -> IorunError {
    IorunError(
      .imageInvalid, "the image cannot be used: \(what)", remedy: "Build or fetch the image again")
  }
}
