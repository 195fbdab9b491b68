internal import CPoW

/// A variant of the inner loops, for one instruction set. All give the same bits.
public enum Kernel: String, Codable, Sendable, CaseIterable {
  /// The portable path, in Swift.
  case swift
  /// The portable path, in C.
  case scalar
  /// The x86 SHA extensions, three messages interleaved.
  case shaNI = "sha-ni"
  /// Eight messages in an AVX2 vector; the product by `maddubs`.
  case avx2
  /// Sixteen messages in an AVX-512 vector.
  case avx512 = "avx-512"
  /// The SHA-2 instructions of arm64.
  case arm = "arm64-sha2"
  /// The product by AVX-512 VNNI.
  case vnni = "avx-512-vnni"

  /// True where this processor, its operating system and this build have the instructions.
  public var isAvailable: Bool { self == .swift || iorun_pow_has(code) != 0 }

  /// The number of the variant in C; `swift` has none, and is never passed there.
  var code: Int32 {
    let kernel =
      switch self {
      case .swift, .scalar: IORUN_POW_SCALAR
      case .shaNI: IORUN_POW_SHANI
      case .avx2: IORUN_POW_AVX2
      case .avx512: IORUN_POW_AVX512
      case .arm: IORUN_POW_ARM_SHA2
      case .vnni: IORUN_POW_VNNI
      }
    return Int32(kernel.rawValue)
  }

  private static func available(_ kernels: [Kernel]) -> [Kernel] {
    kernels.filter(\.isAvailable)
  }

  /// What can search for small digests here.
  public static var forHash: [Kernel] {
    available([.swift, .scalar, .avx2, .shaNI, .avx512, .arm])
  }
  /// What can take the steps of chains here.
  public static var forChain: [Kernel] { available([.swift, .scalar, .shaNI, .arm]) }
  /// What can multiply here.
  public static var forProduct: [Kernel] { available([.swift, .scalar, .avx2, .vnni]) }

  /// The fastest search. Measured once, in about a millisecond: which of SHA-NI and AVX-512 is
  /// faster depends on the processor, and no feature bit says it.
  public static let fastestHash: Kernel = {
    let kernels = forHash.filter { $0 != .swift && $0 != .scalar }
    guard kernels.count > 1 else { return kernels.first ?? .scalar }
    let search = HashSearch(prefix: [UInt8](repeating: 0, count: HashSearch.prefixByteCount))
    var buffer = [UInt32](repeating: 0, count: 16)
    func nanoseconds(_ kernel: Kernel) -> UInt64 {
      (0..<3).map { _ in
        let start = iorun_pow_thread_ns()
        _ = search.run(kernel, from: 0, count: 2048, threshold: 0, into: &buffer)
        return iorun_pow_thread_ns() - start
      }.min() ?? .max
    }
    return kernels.min { nanoseconds($0) < nanoseconds($1) } ?? .scalar
  }()

  /// The fastest chain.
  public static let fastestChain: Kernel = forChain.last ?? .scalar
  /// The fastest product.
  public static let fastestProduct: Kernel = forProduct.last ?? .scalar
}
