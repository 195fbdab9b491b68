internal import Foundation
public import IorunCore

/// The labels of a memory puzzle. Filled by many threads, then read by many: one table serves all
/// rounds of an epoch.
///
/// Safe to send although it is raw memory: while it is filled, threads write disjoint ranges; the
/// solver joins them all before anybody reads, and nobody writes again.
public final class LabelTable: @unchecked Sendable {
  /// The seed of the labels (``Challenge/tableSeed``).
  public let seed: Digest
  /// How many labels.
  public let count: Int
  let base: UnsafeMutablePointer<UInt32>
  private let byteCount: Int

  /// Maps room for the labels, in large pages where there are some: a walk then misses fewer
  /// translations. Throws `noMemoryForProof`.
  init(seed: Digest, count: Int) throws {
    byteCount = count * 32
    let flags = MAP_PRIVATE | MAP_ANONYMOUS
    let mapped = mmap(nil, byteCount, PROT_READ | PROT_WRITE, flags, -1, 0)
    guard let mapped, mapped != MAP_FAILED else {
      throw IorunError(
        .noMemoryForProof, "there is no room for \(Bytes(UInt64(byteCount))) of labels",
        remedy: "Claim less memory", cause: IorunError.system("cannot map", "labels", errno: errno))
    }
    #if os(Linux)
      madvise(mapped, byteCount, MADV_HUGEPAGE)
    #endif
    base = mapped.bindMemory(to: UInt32.self, capacity: count * 8)
    self.seed = seed
    self.count = count
  }

  deinit { munmap(base, byteCount) }
}
