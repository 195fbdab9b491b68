internal import CSandbox
internal import Foundation
public import IorunCore
internal import IorunCrypto

/// An image in a folder of the OCI image layout (image-spec 1.0, image-layout.md): an index, and blobs
/// named by their SHA-256. Every blob is checked before a byte of it is believed.
public struct ImageLayout: Sendable {
  /// How an image's own program is to be run, where it says so.
  public struct Defaults: Hashable, Sendable, Codable {
    /// The program and its arguments.
    public var command: [String]
    /// Its environment, `NAME=VALUE`.
    public var environment: [String]
    /// The folder to begin in.
    public var folder: String

    /// Describes them.
    public init(command: [String], environment: [String], folder: String) {
      self.command = command
      self.environment = environment
      self.folder = folder
    }
  }

  struct Descriptor: Decodable {
    struct Platform: Decodable {
      var architecture: String
    }
    var mediaType: String?
    var digest: String
    var size: UInt64
    var platform: Platform?
    var annotations: [String: String]?
  }
  struct Index: Decodable { var manifests: [Descriptor] }
  struct Manifest: Decodable {
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
    return try unpack(
      try manifest(index, reference), into: root, temporary: temporary, limits: limits)
  }

  /// Unpacks the image, or the index of images, that has this digest. As `unpack` does else.
  public func unpack(
    digest: Digest, into root: String, temporary: String, limits: ImageUnpacker.Limits = .init(),
    places: ImageUnpacker.Places = .init()
  ) throws -> Defaults {
    try unpack(
      try manifest(digest, depth: 0), into: root, temporary: temporary, limits: limits,
      places: places)
  }

  private func unpack(
    _ manifest: Manifest, into root: String, temporary: String, limits: ImageUnpacker.Limits,
    places: ImageUnpacker.Places = .init()
  ) throws -> Defaults {
    let configuration = try decode(
      Configuration.self, try blob(try Self.digest(named: manifest.config.digest)))
    let ids = configuration.rootfs.diff_ids
    guard manifest.layers.count == ids.count, ids.count <= Self.layerLimit else {
      throw Self.invalid("its layers are not those of its configuration")
    }
    try SandboxFolder.make(temporary, mode: 0o700)
    var unpacker = try ImageUnpacker(into: root, limits: limits)
    for (layer, id) in zip(manifest.layers, ids) {
      let archive = temporary + "/layer.tar"
      defer { unlink(archive) }
      try decompress(layer, to: archive, limits)
      guard try Self.digest(archive) == (try Self.digest(named: id)) else {
        throw Self.invalid("a layer's content has another digest than its configuration says")
      }
      try unpacker.addLayer(archive)
    }
    try unpacker.add(places)
    let run = configuration.config
    return Defaults(
      command: (run?.Entrypoint ?? []) + (run?.Cmd ?? []), environment: run?.Env ?? [],
      folder: run?.WorkingDir.flatMap { $0.isEmpty ? nil : $0 } ?? "/")
  }

  private func manifest(_ index: Index, _ reference: String?) throws -> Manifest {
    let matches = index.manifests.filter { entry in
      (reference == nil || entry.annotations?[Self.refName] == reference) && Self.fits(entry)
    }
    guard let first = matches.first, matches.count == 1 else {
      throw IorunError(
        .notFound,
        matches.isEmpty
          ? "the layout has no such image for this machine"
          : "the layout has \(matches.count) images",
        remedy: "Name one that it has")
    }
    return try manifest(try Self.digest(named: first.digest), depth: 0)
  }

  private func manifest(_ digest: Digest, depth: Int) throws -> Manifest {
    let bytes = try blob(digest)
    if let manifest = try? JSONDecoder().decode(Manifest.self, from: Data(bytes)) {
      return manifest
    }
    guard depth < 2 else { throw Self.invalid("its indexes have no end") }
    let choice = try Self.choice(of: try decode(Index.self, bytes).manifests)
    return try manifest(try Self.digest(named: choice.digest), depth: depth + 1)
  }

  /// The first entry for this machine's processor. Throws `notFound`.
  static func choice(of entries: [Descriptor]) throws -> Descriptor {
    guard let match = entries.first(where: fits) else {
      throw IorunError(
        .notFound, "the image is not there for this machine's processor (\(architecture))")
    }
    return match
  }

  private static var architecture: String {
    SeccompProfile.Architecture.current == .arm64 ? "arm64" : "amd64"
  }

  private static func fits(_ entry: Descriptor) -> Bool {
    entry.platform == nil || entry.platform?.architecture == architecture
  }

  private func path(_ digest: Digest) -> String { folder + "/blobs/sha256/\(digest)" }

  private func blob(_ digest: Digest) throws -> [UInt8] {
    let bytes = try document(path(digest))
    guard SHA256.digest(of: bytes) == digest else {
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
  private func decompress(
    _ layer: Descriptor, to archive: String, _ limits: ImageUnpacker.Limits
  ) throws {
    let digest = try Self.digest(named: layer.digest)
    let source = path(digest)
    guard try Self.digest(source) == digest else {
      throw Self.invalid("a layer has another digest than its name says")
    }
    let file = try OpenFile(source, O_RDONLY | O_NOFOLLOW)
    let limit = limits.archive(ofCompressed: UInt64(clamping: try file.status().st_size))
    let output = try OpenFile(archive, O_CREAT | O_TRUNC | O_RDWR)
    let type = layer.mediaType ?? ""
    let arguments: [String]
    if type.hasSuffix("gzip") {
      arguments = ["gzip", "-dc"]
    } else if type.hasSuffix("zstd") {
      arguments = ["zstd", "-dcq", "--memory=128MB"]
    } else if type.hasSuffix("tar") {
      arguments = ["cat"]
    } else {
      throw Self.invalid("its layers are neither tar nor gzip nor zstd: '\(type.prefix(100))'")
    }
    guard let program = InstalledProgram.find(arguments[0]) else {
      throw IorunError(.fileMissing, "\(arguments[0]) is missing", remedy: "Install it")
    }
    let errors = try SandboxCapture()
    // As nobody, with no more to write than the limit; its time is that of the sandbox around it.
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

  static func digest(named text: String) throws -> Digest {
    guard text.hasPrefix("sha256:"), let digest = Digest(String(text.dropFirst(7))) else {
      throw invalid("'\(text.prefix(80))' is no SHA-256 digest")
    }
    return digest
  }

  static func digest(_ path: String) throws -> Digest {
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
