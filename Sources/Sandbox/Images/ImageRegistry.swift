internal import CSandbox
internal import Foundation
public import IorunCore
internal import IorunCrypto

/// Fetches images from registries (OCI Distribution 1.1, the API of version 2) into an
/// ``ImageLayout``'s folder.
///
/// Which registry is asked is a job's to say, so the program that asks, curl, does it as nobody and in a
/// sandbox's network: it reaches what the job itself would reach, and none of the machine's neighbours.
/// curl, not a library in this process: its TLS and HTTP read what strangers send. Nothing that comes
/// is believed before its digest is right.
public struct ImageRegistry: Sendable {
  /// The most that is fetched.
  public struct Limits: Sendable {
    /// All layers together, compressed.
    public var bytes: Bytes
    /// All requests together.
    public var time: Duration

    /// Sets limits.
    public init(bytes: Bytes = .gibi(32), time: Duration = .seconds(3000)) {
      self.bytes = bytes
      self.time = time
    }
  }

  private let network: EgressNetwork?
  private let allowsPlainHTTP: Bool

  static let documentLimit: UInt64 = 4 << 20
  static let manifestTypes = [
    "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
  ]

  /// Describes how registries are reached.
  ///
  /// - Parameters:
  ///   - network: `nil`: the machine's own, for registries that its owner names.
  ///   - allowsPlainHTTP: for a registry on the same machine only; digests are checked all the same.
  public init(network: EgressNetwork?, allowsPlainHTTP: Bool = false) {
    self.network = network
    self.allowsPlainHTTP = allowsPlainHTTP
  }

  /// Fetches an image into a folder that is made for it. Blobs that are there already are not fetched
  /// again. Blocks for long.
  ///
  /// - Parameter progress: is told now and then what is there and how much there will be, the latter 0
  ///   until that is known; returns false to have it stop.
  /// - Throws: `notFound` for what the registry does not have; `imageInvalid` for what has another digest
  ///   or size than it should, or is too large; `networkSetup` where the registry does not answer;
  ///   `cancelled` where `progress` said so; `specInvalid` for an image of no registry.
  public func fetch(
    _ reference: ImageReference, into folder: String, limits: Limits = Limits(),
    progress: @escaping (Bytes, Bytes) -> Bool = { _, _ in true }
  ) throws {
    guard case .registry(let host, let name) = reference.source else {
      throw IorunError(.specInvalid, "\(reference) is in no registry")
    }
    try SandboxFolder.make(folder + "/blobs/sha256", mode: 0o755)
    var session = Session(
      host: host, name: name, folder: folder, deadline: .now + limits.time, progress: progress)
    var digest = reference.digest
    var manifest: ImageLayout.Manifest?
    for _ in 0..<3 where manifest == nil {
      let bytes = try document("manifests", digest, Self.manifestTypes, &session)
      if let index = try? JSONDecoder().decode(ImageLayout.Index.self, from: Data(bytes)) {
        digest = try ImageLayout.digest(named: ImageLayout.choice(of: index.manifests).digest)
      } else {
        manifest = try? JSONDecoder().decode(ImageLayout.Manifest.self, from: Data(bytes))
        if manifest == nil { throw Self.invalid("its manifest cannot be read") }
      }
    }
    guard let manifest else { throw Self.invalid("its indexes have no end") }
    let blobs = [manifest.config] + manifest.layers
    let total = blobs.reduce(UInt64(0)) { sum, blob in
      let (next, overflow) = sum.addingReportingOverflow(blob.size)
      return overflow ? .max : next
    }
    guard blobs.count <= ImageLayout.layerLimit, total <= limits.bytes.rawValue else {
      throw Self.invalid("it has more than \(limits.bytes) or \(ImageLayout.layerLimit) layers")
    }
    session.total = total
    for blob in blobs {
      try file("blobs", try ImageLayout.digest(named: blob.digest), blob.size, [], &session)
    }
    let index = """
      {"schemaVersion":2,"manifests":[{"mediaType":"\(Self.manifestTypes[0])",\
      "digest":"sha256:\(digest)","size":0,\
      "annotations":{"\(ImageLayout.refName)":"\(reference)"}}]}
      """
    let output = try OpenFile(
      folder + "/index.json", O_CREAT | O_TRUNC | O_WRONLY | O_NOFOLLOW, mode: 0o644)
    try output.write(Array(index.utf8))
  }

  /// What is remembered between the requests for one image.
  private struct Session {
    let host: String
    let name: String
    let folder: String
    let deadline: ContinuousClock.Instant
    let progress: (Bytes, Bytes) -> Bool
    var token: String?
    var done: UInt64 = 0
    var total: UInt64 = 0
  }

  private func document(
    _ kind: String, _ digest: Digest, _ types: [String], _ session: inout Session
  ) throws -> [UInt8] {
    try file(kind, digest, nil, types, &session)
    return try OpenFile(session.folder + "/blobs/sha256/\(digest)", O_RDONLY | O_NOFOLLOW)
      .read(upTo: Int(Self.documentLimit))
  }

  // Fetches what has that digest to its place among the blobs, unless it is there.
  private func file(
    _ kind: String, _ digest: Digest, _ size: UInt64?, _ types: [String],
    _ session: inout Session
  ) throws {
    let place = session.folder + "/blobs/sha256/\(digest)"
    defer { session.done += size ?? 0 }
    if access(place, F_OK) == 0 { return }
    let url =
      "\(allowsPlainHTTP ? "http" : "https")://\(session.host)/v2/"
      + "\(session.name)/\(kind)/sha256:\(digest)"
    let partial = place + ".part"
    defer { unlink(partial) }
    let limit = size ?? Self.documentLimit
    var answer = try get(url, types, session, to: partial, limit: limit)
    if answer.status == 401, session.token == nil {
      session.token = try token(answer.challenge, session)
      answer = try get(url, types, session, to: partial, limit: limit)
    }
    guard answer.status == 200 else {
      throw IorunError(
        answer.status == 404 ? .notFound : answer.status >= 500 ? .networkSetup : .imageInvalid,
        "\(session.host) answers \(answer.status) for \(kind)/sha256:\(digest)",
        remedy: "Check the image's name, and that it can be read without an account")
    }
    let file = try OpenFile(partial, O_RDONLY | O_NOFOLLOW)
    let length = UInt64(clamping: try file.status().st_size)
    guard size == nil || length == size, try ImageLayout.digest(partial) == digest else {
      throw Self.invalid("what came for sha256:\(digest) is something else")
    }
    guard rename(partial, place) == 0 else {
      throw IorunError.system("cannot place", place, errno: errno)
    }
  }

  private struct Answer {
    var status: Int
    /// The header WWW-Authenticate.
    var challenge: String
  }

  // One request, by curl as nobody, with no more to write than the limit.
  private func get(
    _ url: String, _ types: [String], _ session: Session, to path: String, limit: UInt64
  ) throws -> Answer {
    guard let program = InstalledProgram.find("curl") else {
      throw IorunError(
        .sandboxUnavailable, "curl is missing, which fetches images", remedy: "Install it")
    }
    var headers = types.map { "Accept: " + $0 }
    if let token = session.token { headers.append("Authorization: Bearer " + token) }
    let input = try HelperProgram.Input.text(headers.joined(separator: "\n") + "\n").open(
      for: "curl")
    defer { close(input) }
    // Whoever unpacks it is another user.
    let output = try OpenFile(path, O_CREAT | O_TRUNC | O_RDWR | O_NOFOLLOW, mode: 0o644)
    let capture = try SandboxCapture()
    let protocols = allowsPlainHTTP ? "=http,https" : "=https"
    let launch = SandboxLaunch(
      path: program,
      arguments: [
        "curl", "--disable", "--silent", "--show-error", "--location", "--max-redirs", "5",
        "--proto", protocols, "--proto-redir", protocols, "--connect-timeout", "30",
        "--speed-limit", "1024", "--speed-time", "60",
        "--max-filesize", "\(limit)", "--header", "@-", "--globoff", "--write-out",
        "%{stderr}\\n%{http_code}\\n%header{www-authenticate}\\n", "--url", url,
      ], environment: ["PATH": "/usr/bin:/bin"], folder: "/",
      streams: SandboxStreams(
        input: input, output: output.descriptor, errors: capture.streams.errors),
      limits: [(Int32(iorun_limit_file_size), limit), (Int32(iorun_limit_core), 0)],
      steps: try resolverSteps(session.folder), network: network?.namespace ?? -1,
      user: geteuid() == 0 ? SandboxSpec.defaultFirstUser - 1 : 0, outOfMemoryScore: 0)
    let pid = try launch.start()
    let status = try wait(for: pid, writing: output, session)
    let said = try capture.text(limit: 64 << 10)
    let lines = said.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    guard status == 0, let at = lines.lastIndex(where: { $0.count == 3 && Int($0) != nil }),
      let code = Int(lines[at])
    else {
      // Larger than it may be: 63, or 23 and SIGXFSZ from the limit of its file (curl(1), EXIT CODES).
      if [23, 63].contains(status >> 8) || status & 0x7f != 0 {
        throw Self.invalid("it is larger than it says")
      }
      throw IorunError(
        .networkSetup, "\(session.host) cannot be reached: \(said.prefix(200))",
        remedy: "Check the registry's name; private addresses are not reached from nodes")
    }
    return Answer(status: code, challenge: at + 1 < lines.count ? lines[at + 1] : "")
  }

  // Looks now and then how far it is, and whether anybody still wants it.
  private func wait(
    for pid: pid_t, writing file: borrowing OpenFile, _ session: Session
  ) throws -> Int32 {
    var status: Int32 = 0
    var pause: UInt32 = 1000
    while true {
      let collected = waitpid(pid, &status, WNOHANG)
      if collected == pid { return status }
      let isLate = ContinuousClock.now > session.deadline
      let written = UInt64(clamping: (try? file.status().st_size) ?? 0)
      if isLate || !session.progress(Bytes(session.done + written), Bytes(session.total)) {
        kill(pid, SIGKILL)
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        if !isLate { throw IorunError(.cancelled, "nobody waits for the image any more") }
        throw IorunError(
          .imageInvalid, "\(session.host) is too slow to fetch the image from",
          remedy: "Use a registry that is nearer, or a smaller image")
      }
      usleep(pause)
      pause = min(pause * 2, 50_000)
    }
  }

  // The sandbox's resolver, where it has one.
  private func resolverSteps(_ folder: String) throws -> [SandboxLaunch.Step] {
    guard let text = network?.resolverFile, !text.isEmpty else { return [] }
    let path = folder + "/resolv.conf"
    let file = try OpenFile(path, O_CREAT | O_TRUNC | O_WRONLY | O_NOFOLLOW, mode: 0o644)
    try file.write(Array(text.utf8))
    return [
      .init(
        kind: iorun_box_bind, target: "/etc/resolv.conf", source: path, flags: UInt(MS_RDONLY))
    ]
  }

  // A token for whoever has no account: `Bearer realm="URL",service="NAME",...`. What it is for we say
  // ourselves.
  private func token(_ challenge: String, _ session: Session) throws -> String {
    struct Granted: Decodable {
      var token: String?
      var access_token: String?
    }
    func value(_ name: String) -> String? {
      guard let start = challenge.range(of: name + "=\"") else { return nil }
      return String(challenge[start.upperBound...].prefix { $0 != "\"" })
    }
    guard challenge.lowercased().hasPrefix("bearer "), let realm = value("realm"),
      var parts = URLComponents(string: realm)
    else { throw Self.invalid("the registry wants an account, and none is given") }
    parts.queryItems = [
      URLQueryItem(name: "service", value: value("service") ?? ""),
      URLQueryItem(name: "scope", value: "repository:\(session.name):pull"),
    ]
    guard let url = parts.string else { throw Self.invalid("the registry names no realm") }
    let path = session.folder + "/token"
    defer { unlink(path) }
    let answer = try get(url, [], session, to: path, limit: 64 << 10)
    let bytes = try OpenFile(path, O_RDONLY | O_NOFOLLOW).read(upTo: 64 << 10)
    let granted = try? JSONDecoder().decode(Granted.self, from: Data(bytes))
    guard answer.status == 200, let token = granted?.token ?? granted?.access_token,
      token.utf8.count <= 16 << 10, token.utf8.allSatisfy({ (33...126).contains($0) })
    else { throw Self.invalid("the registry gives no token") }
    return token
  }

  private static func invalid(_ what: String) -> IorunError {
    IorunError(
      .imageInvalid, "the image cannot be fetched: \(what)",
      remedy: "Check the image's name and digest, and try again")
  }
}
