import Glibc
import IorunCore

/// Finds a TCP port for a gang's rendezvous.
public enum FreePort {
  /// A port that nothing uses on `address` now, and none of `taken`. The kernel hands out a
  /// different one each time, so it stays free for long, but that is no promise. Throws
  /// `addressInUse`.
  public static func find(on address: String, except taken: Set<UInt16> = []) throws -> UInt16 {
    for _ in 0..<16 {
      if let port = try draw(on: address), !taken.contains(port) { return port }
    }
    throw IorunError(
      .addressInUse, "no TCP port is free on \(address)",
      remedy: "End programs that keep many connections open on this node")
  }

  private static func draw(on address: String) throws -> UInt16? {
    var hints = addrinfo()
    hints.ai_flags = AI_NUMERICHOST | AI_PASSIVE
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let failure = getaddrinfo(address, "0", &hints, &list)
    defer { if let list { freeaddrinfo(list) } }
    guard failure == 0, let info = list?.pointee else {
      throw IorunError(
        .unreachable, "'\(address)' is not an address of this node",
        remedy: "Start the node with an address that one of its interfaces has")
    }
    let type = info.ai_socktype | Int32(SOCK_CLOEXEC.rawValue)
    let descriptor = socket(info.ai_family, type, 0)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    guard bind(descriptor, info.ai_addr, info.ai_addrlen) == 0 else {
      guard errno == EADDRNOTAVAIL else { return nil }
      throw IorunError(
        .unreachable, "\(address) is not an address of this node",
        remedy: "Start the node with an address that one of its interfaces has")
    }
    var storage = sockaddr_storage()
    var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutableBytes(of: &storage) { bytes in
      guard let start = bytes.baseAddress,
        getsockname(descriptor, start.assumingMemoryBound(to: sockaddr.self), &size) == 0
      else { return nil }
      // The port stands at the same place in both families' addresses.
      return UInt16(bytes[2]) << 8 | UInt16(bytes[3])
    }
  }
}
