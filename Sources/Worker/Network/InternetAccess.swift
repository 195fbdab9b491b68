import Foundation
import Glibc
import IorunCore
import IorunSandbox
import Synchronization

/// This node's ways to the public internet for gangs that ask for one, and for the registries from which
/// it fetches images: never to the machine itself, its neighbours or any private network.
///
/// The machine is made a router for them with the first that needs it. All calls but `probe` block.
final class InternetAccess: Sendable {
  private let limits: EgressLimits
  private let makeRouter: @Sendable () throws -> EgressRouter
  private let router = Mutex<EgressRouter?>(nil)

  /// Describes it.
  ///
  /// - Parameters:
  ///   - megabitsPerSecond: the most that one gang sends, and receives; `nil` for what `profile` says.
  ///   - profile: what the machine's line is said to carry; `nil`: no limit.
  ///   - makeRouter: for tests, whose internet is another.
  init(
    megabitsPerSecond: Int? = nil, profile: NodeProfile? = nil,
    makeRouter: @escaping @Sendable () throws -> EgressRouter = { try EgressRouter() }
  ) {
    let rate = megabitsPerSecond.map { Bytes(UInt64(max(1, $0)) * 125_000) }
    limits = EgressLimits(
      sentPerSecond: rate ?? profile.map { Bytes($0.uploadBitsPerSecond / 8) },
      receivedPerSecond: rate ?? profile.map { Bytes($0.downloadBitsPerSecond / 8) })
    self.makeRouter = makeRouter
  }

  /// The node's, where it can have one: as root, with the programs, and a default route. Looks, and
  /// changes nothing.
  static func find(megabitsPerSecond: Int?, profile: NodeProfile? = nil) -> InternetAccess? {
    guard megabitsPerSecond != 0, geteuid() == 0,
      ["ip", "nft", "tc", "sh"].allSatisfy({ InstalledProgram.find($0) != nil }),
      hasDefaultRoute
    else { return nil }
    return InternetAccess(megabitsPerSecond: megabitsPerSecond, profile: profile)
  }

  /// Leads a gang's namespace out. Throws `networkSetup`: it is the node's fault and not the job's.
  func lead(_ namespace: Int32) throws -> EgressNetwork {
    do {
      return try EgressNetwork(
        .internet(members: []), limits: limits, namespace: namespace, router: try theRouter())
    } catch {
      throw IorunError(
        .networkSetup, "no way to the internet could be made for a gang",
        remedy: (error as? IorunError)?.remedy, cause: error)
    }
  }

  /// A network with nothing in it but the way out. Throws `networkSetup`.
  func network() throws -> EgressNetwork {
    do {
      return try EgressNetwork(.internet(members: []), router: try theRouter())
    } catch {
      throw IorunError(.networkSetup, "no way to the internet could be made", cause: error)
    }
  }

  /// The node ends: the machine forwards no more, unless another agent of it still needs that.
  func close() {
    let last = router.withLock { router in
      defer { router = nil }
      return router
    }
    last?.close()
  }

  /// What a gang hears that asks for what this node has not.
  static var refusal: IorunError {
    IorunError(
      .networkSetup, "this node leads nobody to the internet",
      remedy: "Its owner may: run it as root with iproute2 and nftables, without --internet-mbps 0")
  }

  private func theRouter() throws -> EgressRouter {
    try router.withLock { router in
      if let router { return router }
      let made = try makeRouter()
      router = made
      return made
    }
  }

  // proc_net_route: the destination 0 of the mask 0; IPv6's is the whole of zeros with length 0.
  private static var hasDefaultRoute: Bool {
    let four = KernelFile.text("/proc/net/route")?.split(separator: "\n").dropFirst() ?? []
    if four.contains(where: { line in
      let words = line.split(separator: "\t")
      return words.count > 7 && words[1] == "00000000" && words[7] == "00000000"
    }) {
      return true
    }
    let zeros = String(repeating: "0", count: 32)
    let six = KernelFile.text("/proc/net/ipv6_route")?.split(separator: "\n") ?? []
    return six.contains { line in
      let words = line.split(separator: " ")
      return words.count > 9 && words[0] == zeros && words[1] == "00" && words[9] != "lo"
    }
  }
}
