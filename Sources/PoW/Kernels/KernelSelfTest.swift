internal import IorunCore

/// Known answers for every kernel, made with Python's `hashlib` and Philox's published vectors
/// (`docs/POW.md` has the lines). A device runs them before it proves anything: a kernel that is
/// wrong on a processor must not cost its owner an hour.
public enum KernelSelfTest {
  /// Tests all kernels that are available. Throws `kernelBroken` with the kernel's name.
  public static func run() throws {
    for kernel in Kernel.forHash { try check(kernel, "cpu.hash", hash(kernel)) }
    for kernel in Kernel.forChain { try check(kernel, "chain", chain(kernel)) }
    for kernel in Kernel.forProduct { try check(kernel, "gpu.mm", product(kernel)) }
  }

  private static func check(_ kernel: Kernel, _ work: String, _ isRight: Bool) throws {
    guard isRight else {
      throw IorunError(
        .kernelBroken, "the \(kernel.rawValue) kernel gives wrong results for \(work)",
        remedy: "Leave this machine out: its processor or memory computes wrongly")
    }
  }

  static func hash(_ kernel: Kernel) -> Bool {
    var search = HashSearch(prefix: (0..<64).map { UInt8($0) }, epoch: 7)
    search.high = 1
    var found = [UInt32](repeating: 0, count: 32)
    let (hits, tried) = search.run(
      kernel, from: 0, count: 3000, threshold: 0x00ff_ffff, into: &found)
    return tried == 3000
      && Array(found.prefix(hits)) == [
        24, 242, 543, 751, 895, 1176, 1226, 1795, 1938, 1954, 2341, 2483, 2604, 2766, 2981,
      ] && search.values(of: [1 << 32 | 24], kernel) == [0x0060_4892_91ec_8001]
  }

  static func chain(_ kernel: Kernel) -> Bool {
    let chain = Chain(seed: (0..<16).map { UInt8($0) }, kernel: kernel)
    // Seven lanes: two groups of three and one alone.
    var states = [UInt32](repeating: 0, count: 56)
    chain.advance(&states, tags: [UInt32](repeating: 5, count: 7), steps: 10)
    let expected = "79980f1b9aad0b613935583189bc06d585c58d079a4d23ad120199db7adfa491"
    for lane in 0..<7 where Hex.encode(Words.bytes(states[8 * lane..<8 * lane + 8])) != expected {
      return false
    }
    let labels = UnsafeMutablePointer<UInt32>.allocate(capacity: 800)
    defer { labels.deallocate() }
    chain.fill(labels, first: 0, count: 100, steps: 4)
    let seventh = (56..<64).map { labels[$0] }
    guard
      Hex.encode(Words.bytes(seventh))
        == "4ded059eecbf8d14f656ad415bd70b2cccbacd67df97e78714d57156d8a090d1"
    else { return false }
    var walker: [UInt32] = [0, 0, 0, 0, 0, 0, 0, 1]
    chain.walk(&walker, tags: [3], labels: labels, count: 100, steps: 20)
    return Hex.encode(Words.bytes(walker))
      == "baa4f5928a8e0df57172d55255f302cffca6404874763dae3304b0dfe49bfe59"
  }

  static func product(_ kernel: Kernel) -> Bool {
    let matrices = Matrices(
      seed: (0..<8).map { UInt8($0) }, layer: 2, size: 128, kernel: kernel)
    let tile = MerkleTree.leafDigest(of: matrices.tileBytes(row: 1, column: 2))
    return tile.description
      == "1b94ee77c4a52913206d6f3c9d7c25dbfcf3c3e2b64e936e9911e63f3950361d"
  }
}
