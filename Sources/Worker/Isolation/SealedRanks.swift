import Foundation
import Glibc
import IorunContract
import IorunCore
import IorunSandbox
import IorunTunnel
import Logging
import Synchronization

/// Keeps a node's ranks apart from its machine: each in a sandbox of its own, with users of its own,
/// a working folder on encrypted scratch, the limits of its lease, and a network in which the machine
/// is not.
///
/// All calls but `open` block: they belong off the cooperative pool.
final class SealedRanks: Sendable {
  /// What a lease that asks for no disk may write.
  static let defaultDisk = Bytes.gibi(4)
  /// No file system fits into less.
  static let leastDisk = Bytes.mebi(16)
  /// Processes and threads of one rank.
  static let mostProcesses = 4096
  /// How many leases' scratch is made ahead.
  static let readyScratch = 2

  private struct Held {
    var scratch: ScratchMount
    var block: UInt32
    /// The GPUs' device files.
    var devices: Set<String>
  }

  private struct Space {
    var network: RankNetwork
    var leases: Set<LeaseID>
  }

  private struct State {
    var held: [LeaseID: Held] = [:]
    /// Blocks of user ids that are given out, and to how many.
    var blocks: [UInt32: Int] = [:]
    var spaces: [GangID: Space] = [:]
  }

  let driver: any SandboxDriver
  let scratch: ScratchPool
  let facts: NodeFacts
  let gpus: GPUDevices
  let libraries: GPULibraries
  /// Whose control group holds all sandboxes.
  private let host: SandboxHost
  /// What is kept of strangers' work outside their leases' scratch.
  let vault: Vault
  /// What the self-tests found.
  let findings: IsolationFindings
  /// What of this machine's interpreter is shown.
  let programs: RuntimePrograms
  let root: HostRoot
  /// This program in images' sandboxes.
  private let guest: (supervisor: [String], binds: [SandboxSpec.Bind])
  /// Unpacks images.
  let images: ImageSandbox
  /// The agent's socket on the host.
  private let agentSocket: String
  /// Where the search for a free block begins: agents of one machine should not meet.
  private let firstBlock: UInt32
  private let state = Mutex(State())

  private static let blockCount: UInt32 = 4096
  /// What programs read of a machine beside `/usr`.
  private static let files = [
    "/opt", "/etc/alternatives", "/etc/ssl", "/etc/ca-certificates", "/etc/fonts", "/etc/magic",
    "/etc/mime.types", "/etc/localtime", "/etc/timezone", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
    "/etc/protocols", "/etc/services", "/etc/python3", "/etc/nsswitch.conf", "/etc/gai.conf",
  ]

  /// Tries what `isolation` asks for; `nil` where ranks run as ordinary processes. What a killed agent
  /// left is removed first, in any case.
  ///
  /// - Throws: `sandboxUnavailable` where `isolation` names a driver and that has a fault here.
  static func open(
    _ isolation: NodeIsolation, stateFolder: String, node: PeerID, facts: NodeFacts,
    minors: [String: Int] = [:], program: String, agentSocket: String, logger: Logger
  ) async throws -> SealedRanks? {
    let group = groupName(of: node)
    var groups = ControlGroupLayout.current()
    if geteuid() == 0 {
      groups = try await Blocking.run { [groups] in
        let groups = try groups.settled()
        try removeLeftovers(stateFolder: stateFolder, group: group, groups)
        return groups
      }
    }
    guard isolation != .process, isolation != .open else { return nil }
    do {
      let sealed = try await make(
        stateFolder: stateFolder, node: node, group: group, groups: groups, facts: facts,
        minors: minors, isolation: isolation,
        program: (try? FileManager.default.destinationOfSymbolicLink(atPath: program)) ?? program,
        agentSocket: agentSocket)
      logger.notice(
        "jobs run in sandboxes of \(sealed.driver.program), which passed their self-test")
      return sealed
    } catch {
      // The self-tests made it.
      _ = try? await Blocking.run { [groups] in ControlGroup.removeParent(groups, parent: group) }
      guard isolation == .auto else { throw error }
      logger.warning(
        """
        this node takes only its owner's work, without a sandbox, and publishes no capability for \
        others': \(error)
        """)
      return nil
    }
  }

  /// The control group of all sandboxes of a node.
  static func groupName(of node: PeerID) -> String { "iorun-\(node.description.prefix(16))" }

  /// The device files of GPUs that are leased now.
  var leasedDevices: Set<String> {
    state.withLock { $0.held.values.reduce(into: []) { $0.formUnion($1.devices) } }
  }

  private static func removeLeftovers(
    stateFolder: String, group: String, _ layout: ControlGroupLayout
  ) throws {
    _ = try ControlGroup.reapLeftovers(layout, parent: group)
    ControlGroup.removeParent(layout, parent: group)
    let folder = scratchFolder(stateFolder)
    guard FileManager.default.fileExists(atPath: folder) else { return }
    _ = try ScratchPool(folder: folder, backends: [])
  }

  private static func make(
    stateFolder: String, node: PeerID, group: String, groups: ControlGroupLayout,
    facts: NodeFacts, minors: [String: Int], isolation: NodeIsolation,
    program: String, agentSocket: String
  ) async throws -> SealedRanks {
    @Sendable func refusal(_ what: String) -> IorunError {
      IorunError(
        .sandboxUnavailable, "no sandbox for ranks works here: \(what)",
        remedy:
          "Run the node as root with bubblewrap or crun installed (and gocryptfs), or join with "
          + "--isolation process and run only your own work there")
    }
    guard geteuid() == 0 else { throw refusal("the node does not run as root") }
    let folder = stateFolder + "/sandbox"
    let libraries = HostRoot.ownLibraryFolders()
    let host = try await Blocking.run {
      try SandboxHost(stateFolder: folder, groupName: group, groups: groups, isRoot: true)
    }
    let choice = await SandboxChoice.find(
      isolation, host: host,
      test: SandboxSelfTest(canary: program, folder: folder, libraryFolders: libraries))
    guard let driver = choice.driver else {
      throw refusal(choice.refusals.joined(separator: "; "))
    }
    return try await Blocking.run {
      let scratch = try ScratchPool(folder: scratchFolder(stateFolder))
      guard scratch.backend != nil else {
        throw refusal("no encrypted scratch: \(scratch.refusals.values.sorted())")
      }
      scratch.shareMounts()
      let vault = try Vault(scratch, stateFolder: stateFolder)
      let programs = RuntimePrograms.find()
      let root = try HostRoot(
        at: stateFolder + "/sandbox/root", program: program, files: files + programs.folders,
        places: [
          RankSeal.agentSocket, "/etc/hosts", "/etc/resolv.conf", SealedJobs.hub,
          SealedJobs.program,
          SealedJobs.directory + "/place", SealedJobs.folder + "/place",
        ],
        libraryFolders: libraries)
      try writeUsers(root: root.folder)
      // The folder around it lets only root in, and whoever speaks there must prove its key.
      chmod(agentSocket, 0o666)
      let images = try ImageSandbox(
        driver: driver, folder: stateFolder + "/sandbox/unpacker", program: program,
        libraryFolders: libraries, firstUser: firstUser(blockCount - 1))
      let guest = RankSeal.guest(program: program, libraryFolders: libraries)
      return SealedRanks(
        driver: driver, host: host, scratch: scratch,
        findings: IsolationFindings(reports: choice.reports, scratch: scratch.backend?.kind),
        vault: vault, root: root, guest: guest, images: images, facts: facts,
        gpus: GPUDevices(gpus: facts.gpus, minors: minors), programs: programs,
        agentSocket: agentSocket, node: node)
    }
  }

  private init(
    driver: any SandboxDriver, host: SandboxHost, scratch: ScratchPool,
    findings: IsolationFindings, vault: Vault, root: HostRoot,
    guest: (supervisor: [String], binds: [SandboxSpec.Bind]), images: ImageSandbox,
    facts: NodeFacts, gpus: GPUDevices, programs: RuntimePrograms, agentSocket: String,
    node: PeerID
  ) {
    self.driver = driver
    self.host = host
    self.findings = findings
    self.scratch = scratch
    self.vault = vault
    self.root = root
    self.guest = guest
    self.images = images
    self.facts = facts
    self.gpus = gpus
    libraries = facts.gpus.isEmpty ? GPULibraries(loaderCache: "") : .find()
    self.programs = programs
    self.agentSocket = agentSocket
    let seed = node.description.utf8.reduce(UInt32(0)) { $0 &* 31 &+ UInt32($1) }
    firstBlock = seed % (Self.blockCount - 1)
  }

  /// What kind of sandbox ranks run in.
  var kind: String { driver.kind.rawValue }

  /// The node takes work from now on.
  func begin() { scratch.makeAhead(Self.readyScratch, size: Self.defaultDisk) }

  /// The node ends; every lease is closed.
  func end() {
    vault.close()
    scratch.close()
    ControlGroup.removeParent(host.groups, parent: host.groupName)
  }

  /// Opens the scratch of a lease: the folder under which its `job` folder lies.
  func open(_ grant: LeaseGrant) throws -> String {
    let devices = Set(try grant.gpuIndices.map(gpus.own))
    let block = try takeBlock()
    do {
      let wanted = grant.spec.gang.resources.disk
      let size = wanted == .zero ? Self.defaultDisk : max(wanted, Self.leastDisk)
      let mount = try scratch.open(Self.name(grant.id), size: size)
      state.withLock {
        $0.held[grant.id] = Held(scratch: mount, block: block, devices: devices)
      }
      guard mkdir(mount.path + RankSeal.folder, 0o755) == 0 else {
        throw IorunError.system("cannot make", mount.path + RankSeal.folder, errno: errno)
      }
      return mount.path
    } catch {
      state.withLock { state in
        if state.held[grant.id] == nil { state.blocks[block] = nil }
      }
      throw error
    }
  }

  /// Gives what was put into a lease's working folder to its user. No process of its may run yet.
  func give(_ lease: LeaseID) {
    guard let (block, folder) = try? place(of: lease) else { return }
    Self.give(folder, to: Self.user(block))
  }

  /// Makes a folder and all in it a user's. Nobody else may be able to put a link there meanwhile.
  static func give(_ folder: String, to user: UInt32) {
    lchown(folder, user, user)
    let files = FileManager.default.enumerator(atPath: folder)
    while let name = files?.nextObject() as? String { lchown("\(folder)/\(name)", user, user) }
  }

  /// The lease is over and none of its processes is left. Any number of times.
  func close(_ lease: LeaseID) throws {
    let held = state.withLock { state in
      let gang = GangID(lease)
      state.spaces[gang]?.leases.remove(lease)
      if state.spaces[gang]?.leases.isEmpty == true { state.spaces[gang] = nil }
      return state.held.removeValue(forKey: lease)
    }
    guard let held else { return }
    defer { giveBack(held.block) }
    try held.scratch.close()
  }

  /// The network of a gang that got none from the head: one that is all on this node has only itself
  /// in it.
  ///
  /// - Throws: `networkSetup` for a gang that would need the machine's.
  func network(_ grant: LeaseGrant) throws -> RankNetwork {
    let isAlone = grant.localWorldSize == grant.spec.gang.ranks
    guard grant.spec.network != .host, isAlone, let address = IPAddress(facts.address) else {
      throw IorunError(
        .networkSetup, "ranks in a sandbox are given nothing of this machine's network",
        remedy: "Leave network: host out, or use a node that was joined with --isolation process")
    }
    return try state.withLock { state in
      let gang = GangID(grant.id)
      if state.spaces[gang] == nil {
        // The gang's meeting point is the address under which the head knows the node.
        state.spaces[gang] = Space(
          network: RankNetwork(
            namespace: try LoneNetwork.make(address: facts.address), folder: "", interface: "lo",
            addresses: [address]), leases: [])
      }
      guard var made = state.spaces[gang] else {
        throw IorunError(.internalFault, "a gang's network is gone")
      }
      made.leases.insert(grant.id)
      state.spaces[gang] = made
      return made.network
    }
  }

  /// The sandbox of a lease that was opened.
  ///
  /// - Parameter image: what the rank sees as its root; `nil` for this machine's own programs.
  /// - Throws: `wrongState` where it was not.
  func seal(
    _ grant: LeaseGrant, network: RankNetwork, environment: [String: String],
    image: ImageStore.Image? = nil
  ) throws -> RankSeal {
    guard let held = state.withLock({ $0.held[grant.id] }) else {
      throw IorunError(.wrongState, "lease \(grant.id) has no scratch")
    }
    var spec = try spec(
      Self.name(grant.id), network: network.namespace, block: held.block,
      scratch: held.scratch.path, wanted: grant.spec.gang.resources, gpus: grant.gpuIndices)
    spec.environment = environment
    if let image {
      spec.root = image.root
      spec.binds = guest.binds
      if !grant.gpuIndices.isEmpty { try show(grant.gpuIndices, in: &spec) }
    }
    spec.binds.append(.init(agentSocket, at: RankSeal.agentSocket, isWritable: true))
    for name in ["hosts", "resolv.conf"] where !network.folder.isEmpty {
      let file = "\(network.folder)/\(name)"
      if access(file, R_OK) == 0 { spec.binds.append(.init(file, at: "/etc/" + name)) }
    }
    return RankSeal(
      driver: driver, spec: spec,
      supervisor: image == nil ? [RankSeal.supervisorFile] : guest.supervisor)
  }

  /// User ids for one more sandbox.
  ///
  /// - Throws: `overloaded` where none are left.
  func takeBlock() throws -> UInt32 {
    try state.withLock { state in
      for step in 0..<Self.blockCount - 1 {
        // The last one is for those that unpack images.
        let block = (firstBlock + step) % (Self.blockCount - 1)
        if state.blocks[block] == nil {
          state.blocks[block] = 1
          return block
        }
      }
      throw IorunError(.overloaded, "no user ids are left for another sandbox")
    }
  }

  /// One more sandbox of the same job has these user ids.
  func share(_ block: UInt32) { state.withLock { $0.blocks[block, default: 0] += 1 } }

  /// One sandbox fewer has these user ids; after the last one they are free again.
  func giveBack(_ block: UInt32) {
    state.withLock { state in
      let left = (state.blocks[block] ?? 1) - 1
      state.blocks[block] = left > 0 ? left : nil
    }
  }

  /// The user ids of an open lease and its working folder on this machine.
  ///
  /// - Throws: `wrongState` where it is not open.
  func place(of lease: LeaseID) throws -> (block: UInt32, work: String) {
    guard let held = state.withLock({ $0.held[lease] }) else {
      throw IorunError(.wrongState, "lease \(lease) has no scratch")
    }
    return (held.block, held.scratch.path + RankSeal.folder)
  }

  /// The user on this machine of the programs in a sandbox.
  static func user(_ block: UInt32) -> UInt32 { firstUser(block) + SandboxSpec.userInside }

  static func firstUser(_ block: UInt32) -> UInt32 {
    SandboxSpec.defaultFirstUser + block * SandboxSpec.userCount
  }

  private static func name(_ lease: LeaseID) -> String {
    "\(lease.job)-\(lease.attempt)-\(lease.rank)"
  }

  private static func scratchFolder(_ stateFolder: String) -> String { stateFolder + "/scratch" }

  /// Programs look up who they are.
  private static func writeUsers(root: String) throws {
    let user = SandboxSpec.userInside
    for (name, line) in [
      ("passwd", "iorun:x:\(user):\(user):iorun:\(RankSeal.folder):/bin/sh\n"),
      ("group", "iorun:x:\(user):\n"),
    ] {
      let nobody = name == "passwd" ? "nobody:x:65534:65534::/:/bin/false\n" : "nogroup:x:65534:\n"
      let file = try OpenFile("\(root)/etc/\(name)", O_CREAT | O_TRUNC | O_WRONLY, mode: 0o644)
      try file.write(Array((line + nobody).utf8))
    }
  }
}
