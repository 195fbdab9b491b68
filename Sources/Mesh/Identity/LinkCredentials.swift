public import IorunCore

/// What the two ends of a link show each other where neither of them is the head: their membership
/// certificates. A key says who somebody is; a certificate says what the network lets it be, and until
/// when. Nothing else is taken over a link before both are checked.
public struct LinkCredentials: Sendable {
  /// This process's certificate; `nil` while it has none, and then it makes no such link.
  public var certificate: @Sendable () -> [UInt8]?
  /// Checks the certificate of the peer whose key the connection proved, and returns until when a link
  /// with it may last, in seconds since 1970 (UTC). Called on the I/O thread: must not block.
  public var check: @Sendable (_ certificate: [UInt8], _ peer: PeerID) throws -> Double
  /// Seconds since 1970 (UTC).
  public var now: @Sendable () -> Double

  /// Describes credentials.
  public init(
    certificate: @escaping @Sendable () -> [UInt8]?,
    check: @escaping @Sendable (_ certificate: [UInt8], _ peer: PeerID) throws -> Double,
    now: @escaping @Sendable () -> Double
  ) {
    self.certificate = certificate
    self.check = check
    self.now = now
  }

  /// This process's certificate.
  ///
  /// - Throws: `certificateInvalid` while there is none.
  func own() throws(IorunError) -> [UInt8] {
    guard let certificate = certificate(), !certificate.isEmpty else {
      throw IorunError(
        .certificateInvalid, "this peer has no certificate yet",
        remedy: "Wait until it has reached its head")
    }
    return certificate
  }

  /// Until when the other end's certificate is good.
  ///
  /// - Throws: `certificateInvalid` where it shows none; what `check` throws.
  func end(of certificate: [UInt8], of peer: PeerID) throws(IorunError) -> Double {
    guard !certificate.isEmpty else {
      throw IorunError(
        .certificateInvalid, "peer \(peer.short) shows no certificate",
        remedy: "Run the same release of iorun on both")
    }
    do {
      return try check(certificate, peer)
    } catch let error as IorunError {
      throw error
    } catch {
      throw IorunError(
        .certificateInvalid, "the certificate of peer \(peer.short) cannot be checked",
        cause: error)
    }
  }
}
