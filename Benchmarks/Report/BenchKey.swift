internal import IorunCore
internal import IorunMesh

/// Keys of the benchmark's diallers, which its listeners can know beforehand: a listener that admits
/// everybody is not let live (`StrangerTest`). They protect nothing.
enum BenchKey {
  /// The pair of dialler number `index`.
  static func pair(_ index: Int) throws -> CurveKey {
    var secret = [UInt8](repeating: 7, count: CurveKey.byteCount)
    for at in 0..<8 { secret[8 + at] = UInt8(truncatingIfNeeded: index >> (8 * at)) }
    return try CurveKey(secretKey: secret)
  }

  /// Admits the diallers `0..<count`.
  static func admission(of count: Int) throws -> KeyAdmission {
    let peers = Dictionary(
      try (0..<count).map { index in
        let key = try pair(index)
        return (key.publicKey, key.peer)
      }, uniquingKeysWith: { first, _ in first })
    return { peers[$0] }
  }
}
