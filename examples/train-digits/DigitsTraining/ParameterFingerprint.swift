/// A short stand-in for a vector of parameters, in numbers that a mean over ranks keeps exact.
enum ParameterFingerprint {
  /// The 64-bit FNV-1a hash of the parameters' bits, as eight numbers from 0 to 255.
  static func of(_ parameters: [Float]) -> [Float] {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for parameter in parameters {
      hash = (hash ^ UInt64(parameter.bitPattern)) &* 0x100_0000_01B3
    }
    // Multiplication carries differences upwards only; this brings them back down.
    hash ^= hash >> 32
    return (0..<8).map { Float((hash >> (8 * UInt64($0))) & 0xFF) }
  }
}
