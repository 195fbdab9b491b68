internal import Foundation
public import IorunCore
internal import IorunCrypto
public import IorunMesh
public import IorunSandbox

/// What a node keeps of the network it joined, in its state folder beside its key.
public struct NodeMembership: Codable, Sendable {
  /// Where the head listens: `host:port`.
  public var headAddress: String
  /// The head's Curve25519 public key, in base 32.
  public var headKey: String
  /// The node's name for people.
  public var name: String
  /// The address that other nodes' ranks reach; `nil` to use the one that reaches the head.
  public var address: String?
  /// Cores to offer, in thousandths; `nil` for all.
  public var milliCPUs: Int?
  /// What the node offers to runtime jobs; `nil` in the file of an earlier version.
  public var offer: RuntimeOffer?
  /// Where the node serves its metrics to Prometheus: `HOST:PORT`; `nil` for nowhere.
  public var metrics: String?
  /// What its owner says of it: price, place, labels; `nil` for nothing.
  public var claims: NodeClaims?
  /// How ranks are kept apart from the machine; `nil`, as in the file of an earlier version: not.
  public var isolation: NodeIsolation?
  /// Registries of images that are reached by the machine's own network, as ``OwnRegistry`` reads them;
  /// `nil` for none.
  public var registries: [String]?
  /// The most that one job sends to the internet, and receives, in megabits a second; 0 for nothing,
  /// `nil` for what the profile asks of the line.
  public var internetMegabitsPerSecond: Int?
  /// How the machine is watched; `nil`: not.
  public var guarding: GuardSettings?
  /// What the machine is checked against; `nil`, as in the file of an earlier version: the standard.
  public var profile: NodeProfile?
  /// True where the machine is checked against nothing.
  public var isUnchecked: Bool?
  /// The most that one gang sends to its other nodes, and receives, in megabits a second; 0 for as much as
  /// there is, `nil` for what a profile of the owner's own says.
  public var gangMegabitsPerSecond: Int?
  /// The most memory that the node offers; `nil` for all that is free when it starts.
  public var memory: Bytes?
  /// The most memory of each GPU that jobs may use; `nil` for all.
  public var gpuMemory: Bytes?

  /// Describes a membership.
  public init(
    headAddress: String, headKey: [UInt8], name: String, address: String? = nil,
    milliCPUs: Int? = nil, offer: RuntimeOffer? = nil, metrics: String? = nil,
    claims: NodeClaims? = nil, isolation: NodeIsolation? = nil, registries: [String]? = nil,
    internetMegabitsPerSecond: Int? = nil, guarding: GuardSettings? = nil
  ) {
    self.registries = registries
    self.internetMegabitsPerSecond = internetMegabitsPerSecond
    self.guarding = guarding
    self.claims = claims
    self.isolation = isolation
    self.headAddress = headAddress
    self.headKey = Base32.encode(headKey)
    self.name = name
    self.address = address
    self.milliCPUs = milliCPUs
    self.offer = offer
    self.metrics = metrics
  }

  /// The same membership with what is given put in place of what was kept.
  public func changed(
    name: String?, address: String?, milliCPUs: Int?, offer: RuntimeOffer = RuntimeOffer(),
    claims: NodeClaims = NodeClaims(), isolation: NodeIsolation? = nil,
    registries: [String]? = nil, internetMegabitsPerSecond: Int? = nil,
    guarding: GuardSettings? = nil
  ) -> NodeMembership {
    var changed = self
    changed.registries = registries ?? self.registries
    changed.internetMegabitsPerSecond =
      internetMegabitsPerSecond ?? self.internetMegabitsPerSecond
    changed.guarding = guarding ?? self.guarding
    changed.isolation = isolation ?? self.isolation
    changed.name = name ?? self.name
    changed.address = address ?? self.address
    changed.milliCPUs = milliCPUs ?? self.milliCPUs
    changed.offer = (self.offer ?? RuntimeOffer()).changed(offer)
    let said = (self.claims ?? NodeClaims()).changed(claims)
    changed.claims = said.isEmpty ? nil : said
    return changed
  }

  /// What the machine is checked against; `nil` for nothing.
  public var asked: NodeProfile? { isUnchecked == true ? nil : profile ?? .standard }

  /// The rates that each gang's tunnel is kept to; `nil` for what the line carries.
  var gangLimits: EgressLimits? {
    if let rate = gangMegabitsPerSecond {
      let bytes = Bytes(UInt64(max(1, rate)) * 125_000)
      return rate == 0 ? nil : EgressLimits(sentPerSecond: bytes, receivedPerSecond: bytes)
    }
    // A profile that the owner wrote says what this line carries; the standard one says nothing of it.
    return profile.map {
      EgressLimits(
        sentPerSecond: Bytes($0.uploadBitsPerSecond / 8),
        receivedPerSecond: Bytes($0.downloadBitsPerSecond / 8))
    }
  }

  /// The uplink to dial.
  ///
  /// - Throws: `identityUnusable` where the file was damaged.
  public func uplink() throws -> MeshUplink {
    guard let key = Base32.decode(headKey), key.count == CurveKey.byteCount else {
      throw IorunError(
        .identityUnusable, "the node's membership file names no valid head key",
        remedy: "Join again with a new ticket")
    }
    return MeshUplink(address: "tcp://\(headAddress)", key: key)
  }

  /// Reads the membership of a node's state folder; `nil` where it has joined no network.
  ///
  /// - Throws: `identityUnusable` where the file is damaged.
  public static func load(from folder: String) throws -> NodeMembership? {
    let path = folder + "/membership.json"
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    let bytes = try PrivateFile.read(path, maximum: 64 * 1024)
    do {
      return try JSONDecoder().decode(NodeMembership.self, from: Data(bytes))
    } catch {
      throw IorunError(
        .identityUnusable, "\(path) is damaged", remedy: "Join again with a new ticket",
        cause: error)
    }
  }

  /// Keeps the membership in a node's state folder.
  ///
  /// - Throws: `fileSystem` or `diskFull`.
  public func save(to folder: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try PrivateFile.write([UInt8](try encoder.encode(self)), to: folder + "/membership.json")
  }
}

extension NodeMembership {
  /// What the head is told: labels for jobs are those for tasks and actors, too.
  var allClaims: NodeClaims? {
    var all = claims ?? NodeClaims()
    let labels = (offer?.labels ?? [:]).filter { key, value in
      // What the head would refuse stays with the node's own programs.
      max(key.utf8.count, value.utf8.count) <= NodeClaims.textLimit
        && !(key + value).utf8.contains { $0 < 32 }
    }
    if !labels.isEmpty {
      all.labels = Dictionary(
        uniqueKeysWithValues: labels.sorted { $0.key < $1.key }.prefix(NodeClaims.labelLimit)
          .map { ($0.key, $0.value) })
    }
    return all.isEmpty ? nil : all
  }
}
