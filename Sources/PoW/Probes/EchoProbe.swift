public import IorunCore
internal import IorunCrypto

/// How far a device is: the verifier sends fresh numbers and the device seals each and sends it
/// back. A value: the caller sends, receives and reads the clock, which is never the device's.
/// The least time that was seen bounds the distance from above; nobody can answer for the device
/// without its key.
public struct EchoProbe: Sendable {
  /// Echoes of a probe.
  public static let count = 21

  /// What is sent to a device.
  public struct Request: Hashable, Codable, Sendable {
    /// Who is asked.
    public var device: DeviceID
    /// Hours since 1970 (UTC).
    public var epoch: Int64
    /// Which of the probe's echoes, from 0.
    public var number: Int
    /// What nobody could know before.
    public var nonce: Digest

    var text: [UInt8] {
      Array("iorun/\(Challenge.version)|echo|\(device)|\(epoch)|\(number)|\(nonce)".utf8)
    }

    /// The device's answer. Throws what sealing throws.
    public func reply(_ signer: ProofSigner) throws -> Reply {
      Reply(number: number, seal: try signer.seal(text))
    }
  }

  /// What comes back.
  public struct Reply: Hashable, Codable, Sendable {
    /// Which echo it answers.
    public var number: Int
    /// The device's word for the request.
    public var seal: Seal
  }

  /// What a probe found.
  public struct Result: Hashable, Codable, Sendable {
    /// Echoes that came back.
    public var answered: Int
    /// The shortest time there and back in milliseconds: the way itself.
    public var minimumMilliseconds: Double
    /// The median in milliseconds: the way as it is used.
    public var medianMilliseconds: Double

    private enum CodingKeys: String, CodingKey {
      case answered
      case minimumMilliseconds = "minimum_milliseconds"
      case medianMilliseconds = "median_milliseconds"
    }
  }

  private let device: DeviceID
  private let epoch: Int64
  private var sent: [(request: Request, nanoseconds: UInt64)] = []
  private var times: [Int: UInt64] = [:]

  /// Begins a probe of a device.
  public init(_ device: DeviceID, epoch: Int64) { (self.device, self.epoch) = (device, epoch) }

  /// The next request, which the caller sends at once; `nil` after the last. Throws where no random
  /// bytes can be had.
  public mutating func next(nowNanoseconds now: UInt64) throws -> Request? {
    guard sent.count < Self.count else { return nil }
    let nonce = SHA256.digest(of: try SecureRandom.bytes(SigningKey.byteCount))
    let request = Request(device: device, epoch: epoch, number: sent.count, nonce: nonce)
    sent.append((request, now))
    return request
  }

  /// Takes a reply in.
  ///
  /// - Throws: a ``Refusal``: `replayed` for a second reply, `wrongShape` for a number that was not
  ///   sent, `early` for a clock that ran back, `notSealed` or `wrongDevice`.
  public mutating func take(
    _ reply: Reply, from submitter: Verifier.Submitter, nowNanoseconds now: UInt64
  ) throws {
    guard sent.indices.contains(reply.number) else { throw Refusal.wrongShape }
    guard times[reply.number] == nil else { throw Refusal.replayed }
    let (request, start) = sent[reply.number]
    guard now >= start else { throw Refusal.early }
    try SealCheck.check(
      reply.seal, request.text, device: device, epoch: epoch, from: submitter)
    times[reply.number] = now - start
  }

  /// What was found; `nil` while fewer than two thirds came back.
  public var result: Result? {
    guard times.count * 3 >= Self.count * 2 else { return nil }
    let sorted = times.values.sorted()
    return Result(
      answered: sorted.count, minimumMilliseconds: Double(sorted[0]) / 1e6,
      medianMilliseconds: Double(sorted[sorted.count / 2]) / 1e6)
  }
}
