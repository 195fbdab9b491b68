/// What a node says of its own machine when it registers. Claims, until a proof backs them.
public struct NodeFacts: Hashable, Codable, Sendable {
  /// One accelerator.
  public struct GPU: Hashable, Codable, Sendable {
    /// The maker's name of the model, for example `NVIDIA GeForce RTX 4090`.
    public var model: String
    /// The device's own id, for example `GPU-6f2c…`.
    public var uuid: String
    /// Its memory.
    public var memory: Bytes

    /// Describes one accelerator.
    public init(model: String, uuid: String, memory: Bytes) {
      self.model = model
      self.uuid = uuid
      self.memory = memory
    }
  }

  /// What the node can do for the networks of gangs.
  public struct DataPlane: Hashable, Codable, Sendable {
    /// How it makes tunnels: `kernel`, `iorun` or `wireguard-go`; `nil` where it can make none.
    public var backend: String?
    /// Why it can make none, or not by a better way.
    public var reason: String?
    /// The networks that the machine is in or has routes to: no gang gets addresses in them.
    public var localPrefixes: [IPPrefix]
    /// Whether it leads gangs to the public internet; `nil`, as from earlier versions: not.
    public var leadsOut: Bool?

    /// The most prefixes that a node names.
    public static let prefixLimit = 64

    /// Describes a data plane.
    public init(
      backend: String?, reason: String? = nil, localPrefixes: [IPPrefix] = [],
      leadsOut: Bool? = nil
    ) {
      self.leadsOut = leadsOut
      self.backend = backend
      self.reason = reason
      self.localPrefixes = localPrefixes
    }
  }

  /// What a node's self-tests found when it started: how far work is kept apart there.
  public struct Isolation: Hashable, Codable, Sendable {
    /// The drivers of sandboxes that passed, the one that is used first: `oci (/usr/sbin/runc)`.
    public var drivers: [String]
    /// How working folders are encrypted: `dmCrypt` or `gocryptfs` on disk, `tmpfs` in memory only.
    public var scratch: String?
    /// What the driver cannot limit there, of `cpu`, `memory` and `pids`.
    public var missingLimits: [String]
    /// Whom a rank can reach there, of `none`, `gang` and `internet`, the least first.
    public var egress: [String]
    /// `strong` where sandboxes have a kernel of their own (gVisor); `nil` where they share the machine's.
    public var tier: String?

    /// The most entries that a list has.
    public static let listLimit = 16

    /// Describes it.
    public init(
      drivers: [String], scratch: String?, missingLimits: [String] = [], egress: [String] = [],
      tier: String? = nil
    ) {
      self.drivers = drivers
      self.scratch = scratch
      self.missingLimits = missingLimits
      self.egress = egress
      self.tier = tier
    }

    /// True where working folders are in memory: such a node has no disk for them.
    public var keepsScratchInMemory: Bool { scratch == "tmpfs" }

    /// True where one stranger's job may take the memory or the processes of the machine.
    public var isUnbounded: Bool {
      missingLimits.contains("memory") || missingLimits.contains("pids")
    }
  }

  /// A name for people, unique in the network after registration.
  public var name: String
  /// The host's name.
  public var hostname: String
  /// The address at which the gang's other ranks reach this node's ranks.
  public var address: String
  /// The network interface that carries `address`.
  public var interface: String
  /// Cores offered to jobs, in thousandths.
  public var milliCPUs: Int
  /// The processor's model name.
  public var cpuModel: String
  /// Memory offered to jobs.
  public var memory: Bytes
  /// Free disk in the node's state folder when it registered.
  public var disk: Bytes
  /// The accelerators, in device order.
  public var gpus: [GPU]
  /// Operating system and kernel, for example `Linux 6.1 x86_64`.
  public var system: String
  /// The version of iorun that the node runs.
  public var version: String
  /// What it can do for the networks of gangs; `nil` from earlier versions.
  public var dataPlane: DataPlane?
  /// What its owner says of it: price, place, labels; `nil` for nothing, and from earlier versions.
  public var claims: NodeClaims?
  /// The driver of sandboxes that passed its self-test there, in which ranks run: `bwrap` or `oci`;
  /// `nil` where ranks run as ordinary processes, and from earlier versions.
  public var sandbox: String?

  /// True where its owner lets strangers' work run as ordinary processes: nodes of `iorun up`, and of
  /// networks of one's own. Without a sandbox all others take their owner's work alone.
  public var runsStrangersBare: Bool?
  /// How far work is kept apart there; `nil` without a sandbox, and from earlier versions.
  public var isolation: Isolation?

  /// Describes a node.
  public init(
    name: String, hostname: String, address: String, interface: String, milliCPUs: Int,
    cpuModel: String, memory: Bytes, disk: Bytes, gpus: [GPU], system: String, version: String,
    dataPlane: DataPlane? = nil, claims: NodeClaims? = nil, sandbox: String? = nil,
    runsStrangersBare: Bool? = nil, isolation: Isolation? = nil
  ) {
    self.isolation = isolation
    self.runsStrangersBare = runsStrangersBare
    self.sandbox = sandbox
    self.name = name
    self.hostname = hostname
    self.address = address
    self.interface = interface
    self.milliCPUs = milliCPUs
    self.cpuModel = cpuModel
    self.memory = memory
    self.disk = disk
    self.gpus = gpus
    self.system = system
    self.version = version
    self.dataPlane = dataPlane
    self.claims = claims
  }

  /// Everything the node offers, before any lease.
  public var capacity: ResourceSet {
    ResourceSet(
      milliCPUs: milliCPUs, gpus: gpus.count, memory: memory,
      disk: isolation?.keepsScratchInMemory == true ? .zero : disk)
  }
}
