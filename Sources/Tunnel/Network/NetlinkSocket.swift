internal import CShim
// For `timeval` alone, which belongs to whichever module the compiler met first.
internal import CTunnel
internal import Glibc
internal import IorunCore
internal import Synchronization

/// A conversation with the kernel in one network namespace. Calls block for as long as the kernel
/// takes, so they belong off the cooperative pool; one request at a time is under way.
final class NetlinkSocket: Sendable {
  /// Which part of the kernel answers (`linux/netlink.h`).
  enum Family: Int32, Sendable {
    case route = 0
    case netfilter = 12
    case generic = 16
  }

  private let descriptor: Int32
  private let sequence = Mutex<UInt32>(1)
  /// No dump of ours is larger.
  private static let mostReplies = 100_000
  private static let bufferSize = 256 * 1024
  private static let patienceSeconds = 5

  /// Opens one in `namespace`, else where this process is. Throws `networkSetup`.
  init(_ family: Family, in namespace: NetworkNamespace? = nil) throws(IorunError) {
    let type = Int32(SOCK_RAW.rawValue)
    let made: Int32
    if let namespace {
      made = namespace.socket(AF_NETLINK, type, family.rawValue)
    } else {
      let plain = socket(AF_NETLINK, type | Int32(SOCK_CLOEXEC.rawValue), family.rawValue)
      made = plain < 0 ? -errno : plain
    }
    guard made >= 0 else {
      throw NetworkFailure.error("no netlink socket could be made", errno: -made)
    }
    descriptor = made
    var patience = timeval(tv_sec: Self.patienceSeconds, tv_usec: 0)
    setsockopt(
      made, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    // A dump or a long batch answers faster than a busy machine reads.
    var size = Int32(4 << 20)
    setsockopt(made, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
  }

  deinit { close(descriptor) }

  /// Sends one request and returns what the kernel answers, without the final word.
  ///
  /// - Parameter what: what was tried, for the error: `set the address of iorun0`.
  /// - Throws: `networkSetup` with the kernel's reason.
  @discardableResult
  func request(_ message: NetlinkMessage, _ what: String) throws(IorunError) -> [NetlinkReply] {
    let isDump = message.flags & NetlinkFlags.dump == NetlinkFlags.dump
    return try exchange(
      [(message, isDump ? 0 : NetlinkFlags.acknowledge)], what)
  }

  /// Sends several requests as one, each of which is answered by an acknowledgement, except those
  /// with `isSilent`.
  func batch(_ messages: [(message: NetlinkMessage, isSilent: Bool)], _ what: String)
    throws(IorunError)
  {
    try exchange(
      messages.map { ($0.message, $0.isSilent ? 0 : NetlinkFlags.acknowledge) }, what,
      silent: messages.count { $0.isSilent })
  }

  @discardableResult
  private func exchange(
    _ messages: [(NetlinkMessage, UInt16)], _ what: String, silent: Int = 0
  ) throws(IorunError) -> [NetlinkReply] {
    do {
      return try sequence.withLock { next in
        let first = next
        var bytes: [UInt8] = []
        for (message, flags) in messages {
          bytes += try message.encoded(sequence: next, extraFlags: flags)
          next &+= 1
        }
        try send(bytes, what)
        return try collect(
          first: first, count: messages.count, awaited: messages.count - silent, what)
      }
    } catch {
      throw error as? IorunError ?? IorunError(.internalFault, what, cause: error)
    }
  }

  private func send(_ bytes: [UInt8], _ what: String) throws {
    var kernel = sockaddr_storage()
    kernel.ss_family = sa_family_t(AF_NETLINK)
    let done = withUnsafePointer(to: &kernel) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        // 12 is the size of sockaddr_nl.
        sendto(descriptor, bytes, bytes.count, 0, address, 12)
      }
    }
    guard done == bytes.count else { throw NetworkFailure.error("cannot \(what)", errno: errno) }
  }

  /// Reads until `awaited` of the requests from `first` on have had their final word.
  private func collect(first: UInt32, count: Int, awaited: Int, _ what: String) throws
    -> [NetlinkReply]
  {
    var replies: [NetlinkReply] = []
    var left = awaited
    var failure: Int32 = 0
    var buffer = [UInt8](repeating: 0, count: Self.bufferSize)
    while left > 0 {
      let size = recv(descriptor, &buffer, buffer.count, 0)
      if size < 0 && errno == EINTR { continue }
      guard size >= 0 else {
        // What went wrong first is the reason for the silence after it.
        throw NetworkFailure.error("cannot \(what)", errno: failure == 0 ? errno : failure)
      }
      for reply in try NetlinkReply.split(Array(buffer.prefix(size)))
      where reply.sequence &- first < UInt32(count) {
        guard let number = reply.errorNumber else {
          replies.append(reply)
          continue
        }
        if number != 0 && failure == 0 { failure = number }
        left -= 1
      }
      guard replies.count <= Self.mostReplies else {
        throw IorunError(.tooLarge, "the kernel's answer is too long: cannot \(what)")
      }
    }
    guard failure == 0 else { throw NetworkFailure.error("cannot \(what)", errno: failure) }
    return replies
  }
}
