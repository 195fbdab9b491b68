/// The two inner loops in which the training spends its time.
///
/// Raw pointers, because they stay quick in debug builds, where every access to an array or a
/// buffer pointer is a checked call: there a whole training takes a second with them.
enum VectorKernels {
  /// `target[i] += source[i] * factor` for `count` elements.
  @inline(__always)
  static func addScaled(
    _ source: UnsafePointer<Float>, by factor: Float, to target: UnsafeMutablePointer<Float>,
    count: Int
  ) {
    var index = 0
    while index < count {
      target[index] += source[index] * factor
      index &+= 1
    }
  }

  /// The sum of `left[i] * right[i]` over `count` elements.
  @inline(__always)
  static func dot(
    _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>, count: Int
  ) -> Float {
    var sum: Float = 0
    var index = 0
    while index < count {
      sum += left[index] * right[index]
      index &+= 1
    }
    return sum
  }
}
