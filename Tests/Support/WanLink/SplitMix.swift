/// SplitMix64 (Steele, Lea and Flood, 2014): random enough for a link, and the same for a seed on
/// every machine.
struct SplitMix: Sendable {
  var state: UInt64

  /// At least 0, below 1.
  mutating func fraction() -> Double {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    mixed ^= mixed >> 31
    return Double(mixed >> 11) * 0x1p-53
  }
}
