internal import IorunCore

/// What to run in a sandbox, on what, and with which of the host's things.
public struct SandboxSpec: Sendable {
  /// Whose work it is.
  public enum Tenancy: String, Sendable, Codable {
    /// The machine's owner's: may run without isolation.
    case own
    /// A stranger's: only in a sandbox that passed its self-test.
    case foreign
  }

  /// A file or folder of the host that is seen inside. Only an agent names these, never a job.
  public struct Bind: Hashable, Sendable {
    /// Its absolute path on the host.
    public var source: String
    /// Its absolute path inside.
    public var target: String
    /// Whether it can be written.
    public var isWritable: Bool

    /// Describes one.
    public init(_ source: String, at target: String, isWritable: Bool = false) {
      self.source = source
      self.target = target
      self.isWritable = isWritable
    }
  }

  /// What of a network is there.
  public enum Network: Hashable, Sendable {
    /// An empty one of its own: not even `lo` is up in every driver.
    case none
    /// The namespace behind this open descriptor, which stays the caller's.
    case namespace(Int32)
    /// The host's. Only for ``Tenancy/own``.
    case host
  }

  /// The sandbox's name, unique on this node: letters, digits, `-`, `_` and `.`.
  public var name: String
  /// Whose work it is.
  public var tenancy: Tenancy
  /// The root file system: an absolute path of a folder. `/` only without isolation.
  public var root: String
  /// A folder that is the sandbox's alone, on encrypted scratch: its `job` is seen as `/job` and can
  /// be written, and what is written elsewhere below the root goes to its `upper`. Without one there
  /// is no `/job`, and the root is read-only.
  public var scratch: String?
  /// What of the host is seen inside, at most 64.
  public var binds: [Bind]
  /// Device nodes of the host that may be used, under the same path inside.
  public var devices: [String]
  /// Devices that the host's CDI specification describes, `KIND=NAME`; OCI runtimes only.
  public var describedDevices: [String] = []
  /// The program, as an absolute path inside, and its arguments.
  public var command: [String]
  /// All of its environment.
  public var environment: [String: String]
  /// The folder inside to begin in.
  public var folder: String
  /// The most that it may use.
  public var limits: SandboxLimits
  /// What of a network is there.
  public var network: Network
  /// The first of 65,536 user ids of the host that are this sandbox's alone.
  public var firstUser: UInt32
  /// Open descriptors that become the program's 3, 4 and so on, at most 4. They stay the caller's.
  public var inherited: [Int32] = []

  /// The user inside; the host's is ``firstUser`` and this.
  public static let userInside: UInt32 = 1000
  /// How many user ids a sandbox has.
  public static let userCount: UInt32 = 65_536
  /// The first block of user ids: above all that systemd gives to people and containers (its "Users,
  /// Groups, UIDs and GIDs"), up to 2^31 nobody's, which is room for 4,096 sandboxes.
  public static let defaultFirstUser: UInt32 = 1_879_048_192

  /// The host's user that the program runs as.
  public var hostUser: UInt32 { firstUser + Self.userInside }

  /// Describes what to run; see the properties.
  public init(
    name: String, tenancy: Tenancy = .foreign, root: String, command: [String],
    limits: SandboxLimits, environment: [String: String] = [:], folder: String = "/",
    scratch: String? = nil, binds: [Bind] = [], devices: [String] = [], network: Network = .none,
    firstUser: UInt32 = SandboxSpec.defaultFirstUser
  ) {
    self.name = name
    self.tenancy = tenancy
    self.root = root
    self.command = command
    self.limits = limits
    self.environment = environment
    self.folder = folder
    self.scratch = scratch
    self.binds = binds
    self.devices = devices
    self.network = network
    self.firstUser = firstUser
  }

  /// Throws `specInvalid` for what no driver would take: a name, path, variable or number that is not
  /// what it should be.
  public func validate() throws {
    func refuse(_ what: String) -> IorunError {
      IorunError(.specInvalid, "sandbox '\(name.prefix(64))': \(what)")
    }
    let nameSet = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
    guard (1...100).contains(name.count), name.allSatisfy(nameSet.contains), name.first != "."
    else {
      throw refuse("its name must be 1 to 100 letters, digits, '-', '_' or '.'")
    }
    guard let program = command.first, program.hasPrefix("/") else {
      throw refuse("the program must be an absolute path")
    }
    let paths =
      [root, folder, scratch ?? "/"] + devices + binds.flatMap { [$0.source, $0.target] }
    for path in paths {
      let parts = path.split(separator: "/")
      guard path.hasPrefix("/"), path.utf8.count < 4000, !parts.contains("..") else {
        throw refuse("'\(path.prefix(100))' is not an absolute path without '..'")
      }
    }
    let variables = environment.map { $0.key + "=" + $0.value }
    guard (paths + command + variables).allSatisfy({ !$0.utf8.contains(0) }) else {
      throw refuse("a path, argument or variable has a zero byte")
    }
    guard environment.keys.allSatisfy({ !$0.isEmpty && !$0.contains("=") }) else {
      throw refuse("a variable has no name, or one with '='")
    }
    guard devices.allSatisfy({ $0.hasPrefix("/dev/") }), binds.count <= 64, devices.count <= 256
    else { throw refuse("devices lie below /dev; at most 64 binds and 256 devices") }
    guard limits.memory >= .mebi(8), limits.processes > 0, limits.milliCPUs > 0,
      limits.openFiles >= 16
    else { throw refuse("a limit is too small for any program") }
    guard inherited.count <= 4, inherited.allSatisfy({ $0 >= 0 }) else {
      throw refuse("at most 4 open descriptors are passed on")
    }
    guard firstUser > 0, firstUser <= UInt32(Int32.max) - Self.userCount + 1 else {
      throw refuse("its user ids are the host's own")
    }
    guard describedDevices.count <= 64,
      describedDevices.allSatisfy({ $0.utf8.count <= 200 && $0.contains("=") })
    else { throw refuse("described devices are written KIND=NAME; at most 64 of them") }
    if tenancy == .foreign, network == .host {
      throw refuse("a stranger's work gets no network of the host's")
    }
  }
}

/// The descriptors of a sandboxed program's streams. They stay the caller's.
public struct SandboxStreams: Sendable {
  /// -1: nothing to read.
  public var input: Int32
  /// What the program prints.
  public var output: Int32
  /// What it prints as errors.
  public var errors: Int32

  /// Names them.
  public init(input: Int32 = -1, output: Int32, errors: Int32) {
    self.input = input
    self.output = output
    self.errors = errors
  }
}
