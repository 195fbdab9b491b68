/// "Any 32-bit value but these", as a list of masks and values of which at least one fits: libseccomp
/// can compare under a mask for equality only, and comparing for inequality without a mask looks at
/// bits that the kernel ignores.
enum MaskedComplement {
  /// One group of values: those whose bits under `mask` are `value`.
  struct Cube: Hashable, Sendable {
    var mask: UInt32
    var value: UInt32
  }

  /// Groups that do not overlap and together hold every value that is not in `excluded`.
  static func cubes(excluding excluded: Set<UInt32>) -> [Cube] {
    var cubes: [Cube] = []
    descend(excluded: excluded, bit: 32, prefix: Cube(mask: 0, value: 0), into: &cubes)
    return cubes
  }

  // Walks the tree of leading bits; a branch without an excluded value is one group.
  private static func descend(
    excluded: Set<UInt32>, bit: Int, prefix: Cube, into cubes: inout [Cube]
  ) {
    guard !excluded.isEmpty else {
      cubes.append(prefix)
      return
    }
    guard bit > 0 else { return }
    let next = UInt32(1) << UInt32(bit - 1)
    for value in [UInt32(0), next] {
      descend(
        excluded: excluded.filter { $0 & next == value }, bit: bit - 1,
        prefix: Cube(mask: prefix.mask | next, value: prefix.value | value), into: &cubes)
    }
  }
}
