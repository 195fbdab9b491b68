/// Random numbers that are the same on every rank, machine and toolchain for one seed: all ranks
/// draw the same split, the same first parameters and the same order of images without a message.
///
/// SplitMix64 (Steele, Lea and Flood, 2014).
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// A number of [0, 1) with 24 random bits, as many as a `Float` holds exactly.
  mutating func unit() -> Float {
    Float(next() >> 40) * 0x1p-24
  }

  /// The numbers below `count` in a random order: Fisher and Yates by hand, as the standard
  /// library does not promise that `shuffled(using:)` keeps its order between versions.
  mutating func permutation(of count: Int) -> [Int] {
    var order = Array(0..<count)
    for index in stride(from: count - 1, to: 0, by: -1) {
      // The bias of a remainder is below 2^-50 for the counts here.
      order.swapAt(index, Int(next() % UInt64(index + 1)))
    }
    return order
  }
}
