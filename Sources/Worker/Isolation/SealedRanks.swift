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
  /// What a lease without disk of its own may write.
  static let leastDisk = Bytes.gibi(4)
  /// Processes and threads of one rank.
  static let mostProcesses = 4096

  private struct Held {
    var scratch: ScratchMount
    var block: UInt32
  }

  private struct Space {
    var network: RankNetwork
    var leases: Set<LeaseID>
  }

  private struct State {
    var held: [LeaseID: Held] = [:]
    /// Blocks of user ids that are given out.
    var blocks: Set<UInt32> = []
    var spaces: [GangID: Space] = [:]
  }

  private let driver: any SandboxDriver
  private let scratch: ScratchPool
  private let root: HostRoot
  /// This program in images' sandboxes.
  private let guest: (supervisor: [String], binds: [SandboxSpec.Bind])
  /// Unpacks images.
  let images: ImageSandbox
  private let facts: NodeFacts
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
    program: String, agentSocket: String, logger: Logger
  ) async throws -> SealedRanks? {
    let group = "iorun-\(node.description.prefix(16))"
    if geteuid() == 0 {
      try await Blocking.run { try removeLeftovers(stateFolder: stateFolder, group: group) }
    }
    guard isolation != .process else { return nil }
    do {
      let sealed = try await make(
        stateFolder: stateFolder, node: node, group: group, facts: facts,
        isolation: isolation,
        program: (try? FileManager.default.destinationOfSymbolicLink(atPath: program)) ?? program,
        agentSocket: agentSocket)
      logger.notice(
        "ranks run in sandboxes of \(sealed.driver.program), which passed their self-test")
      return sealed
    } catch {
      guard isolation == .auto else { throw error }
      logger.warning("ranks run without a sandbox: \(error)")
      return nil
    }
  }

  private static func removeLeftovers(stateFolder: String, group: String) throws {
    let layout = ControlGroupLayout.current()
    _ = try ControlGroup.reapLeftovers(layout, parent: group)
    ControlGroup.removeParent(layout, parent: group)
    let folder = scratchFolder(stateFolder)
    guard FileManager.default.fileExists(atPath: folder) else { return }
    _ = try ScratchPool(folder: folder, backends: [])
  }

  private static func make(
    stateFolder: String, node: PeerID, group: String, facts: NodeFacts, isolation: NodeIsolation,
    program: String, agentSocket: String
  ) async throws -> SealedRanks {
    @Sendable func refusal(_ what: String) -> IorunError {
      IorunError(
        .sandboxUnavailable, "no sandbox for ranks works here: \(what)",
        remedy:
          "Run the node as root with bubblewrap or crun installed, or join with --isolation process "
          + "and run only your own work there")
    }
    guard geteuid() == 0 else { throw refusal("the node does not run as root") }
    let folder = stateFolder + "/sandbox"
    let libraries = HostRoot.ownLibraryFolders()
    let host = try await Blocking.run {
      try SandboxHost(stateFolder: folder, groupName: group, groups: .current(), isRoot: true)
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
      let root = try HostRoot(
        at: stateFolder + "/sandbox/root", program: program, files: files,
        places: [RankSeal.agentSocket, "/etc/hosts", "/etc/resolv.conf"],
        libraryFolders: libraries)
      try writeUsers(root: root.folder)
      // The folder around it lets only root in, and whoever speaks there must prove its key.
      chmod(agentSocket, 0o666)
      let images = try ImageSandbox(
        driver: driver, folder: stateFolder + "/sandbox/unpacker", program: program,
        libraryFolders: libraries, firstUser: firstUser(blockCount - 1))
      let guest = RankSeal.guest(program: program, libraryFolders: libraries)
      return SealedRanks(
        driver: driver, scratch: scratch, root: root, guest: guest, images: images, facts: facts,
        agentSocket: agentSocket,
        node: node)
    }
  }

  private init(
    driver: any SandboxDriver, scratch: ScratchPool, root: HostRoot,
    guest: (supervisor: [String], binds: [SandboxSpec.Bind]), images: ImageSandbox,
    facts: NodeFacts,
    agentSocket: String, node: PeerID
  ) {
    self.driver = driver
    self.scratch = scratch
    self.root = root
    self.guest = guest
    self.images = images
    self.facts = facts
    self.agentSocket = agentSocket
    let seed = node.description.utf8.reduce(UInt32(0)) { $0 &* 31 &+ UInt32($1) }
    firstBlock = seed % (Self.blockCount - 1)
  }

  /// What kind of sandbox ranks run in.
  var kind: String { driver.kind.rawValue }

  /// Opens the scratch of a lease: the folder under which its `job` folder lies.
  func open(_ grant: LeaseGrant) throws -> String {
    let block = try takeBlock()
    do {
      let size = max(grant.spec.gang.resources.disk, Self.leastDisk)
      let mount = try scratch.open(Self.name(grant.id), size: size)
      state.withLock { $0.held[grant.id] = Held(scratch: mount, block: block) }
      guard mkdir(mount.path + RankSeal.folder, 0o755) == 0 else {
        throw IorunError.system("cannot make", mount.path + RankSeal.folder, errno: errno)
      }
      return mount.path
    } catch {
      state.withLock { state in
        if state.held[grant.id] == nil { state.blocks.remove(block) }
      }
      throw error
    }
  }

  /// Gives what was put into a lease's working folder to its user. No process of its may run yet.
  func give(_ lease: LeaseID) {
    guard let held = state.withLock({ $0.held[lease] }) else { return }
    let user = Self.firstUser(held.block) + SandboxSpec.userInside
    let folder = held.scratch.path + RankSeal.folder
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
    defer { state.withLock { _ = $0.blocks.remove(held.block) } }
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
        let space = try NetworkNamespace()
        let routes = try RouteSocket(in: space)
        let loopback = try routes.link("lo")
        try routes.bringUp(loopback)
        // The gang's meeting point is the address under which the head knows the node.
        if !address.isLoopback { try routes.addAddress(IPPrefix(host: address), to: loopback) }
        state.spaces[gang] = Space(
          network: RankNetwork(
            namespace: space, folder: "", interface: "lo", addresses: [address]), leases: [])
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
    let wanted = grant.spec.gang.resources
    let memory = max(wanted.memory == .zero ? facts.memory : wanted.memory, .mebi(64))
    let half = Bytes(memory.rawValue / 2)
    var binds =
      (image == nil ? root.binds : guest.binds) + [
        .init(agentSocket, at: RankSeal.agentSocket, isWritable: true)
      ]
    for name in ["hosts", "resolv.conf"] where !network.folder.isEmpty {
      let file = "\(network.folder)/\(name)"
      if access(file, R_OK) == 0 { binds.append(.init(file, at: "/etc/" + name)) }
    }
    var spec = SandboxSpec(
      name: Self.name(grant.id), root: image?.root ?? root.folder,
      command: [RankSeal.supervisorFile],
      limits: SandboxLimits(
        memory: memory, processes: Self.mostProcesses,
        milliCPUs: max(100, wanted.milliCPUs == 0 ? facts.milliCPUs : wanted.milliCPUs),
        temporary: half, sharedMemory: half, openFiles: 65_536),
      environment: environment, folder: RankSeal.folder, scratch: held.scratch.path,
      network: .namespace(network.namespace.descriptor), firstUser: Self.firstUser(held.block))
    spec.binds = binds
    spec.devices = Self.devices(grant.gpuIndices)
    return RankSeal(
      driver: driver, spec: spec,
      supervisor: image == nil ? [RankSeal.supervisorFile] : guest.supervisor)
  }

  private func takeBlock() throws -> UInt32 {
    try state.withLock { state in
      for step in 0..<Self.blockCount - 1 {
        // The last one is for those that unpack images.
        let block = (firstBlock + step) % (Self.blockCount - 1)
        if state.blocks.insert(block).inserted { return block }
      }
      throw IorunError(.overloaded, "no user ids are left for another sandbox")
    }
  }

  private static func firstUser(_ block: UInt32) -> UInt32 {
    SandboxSpec.defaultFirstUser + block * SandboxSpec.userCount
  }

  private static func name(_ lease: LeaseID) -> String {
    "\(lease.job)-\(lease.attempt)-\(lease.rank)"
  }

  private static func scratchFolder(_ stateFolder: String) -> String { stateFolder + "/scratch" }

  private static func devices(_ gpus: [Int]) -> [String] {
    guard !gpus.isEmpty else { return [] }
    let shared = ["nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"]
    return (shared + gpus.map { "nvidia\($0)" }).map { "/dev/" + $0 }
      .filter { access($0, F_OK) == 0 }
  }

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
