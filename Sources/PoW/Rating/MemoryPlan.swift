internal import Foundation

/// The sizes of a memory puzzle that shows that a device has the memory that it states.
///
/// A device walks its table at some rate of its own, which neighbours on its machine can halve. So a
/// walk is not measured against that rate, but against a part of it (``slack``), and a label is made so
/// slow that whoever lacks a tenth of them cannot walk even that fast: at `missing` of all labels and
/// `labelSteps` steps of a lane for each of these, a step takes at least
/// `missing * labelSteps / laneRate`, which is the time that is allowed for it. That holds whatever
/// walking rate the device claims: a lower one makes the labels slower.
public struct MemoryPlan: Hashable, Sendable {
  /// How much slower than the device says it may walk.
  public static let slack = 2.5
  /// The part of the labels that nobody can leave out.
  public static let missing = 0.1
  /// Steps of a segment: few enough openings check many steps, and the states between segments take
  /// little memory.
  public static let segmentSteps = 128

  /// Labels of 32 bytes.
  public let labels: Int
  /// Steps behind each.
  public let labelSteps: Int
  /// Cores that walk.
  public let cores: Int
  /// Steps of each segment.
  public let segmentSteps: Int
  /// Segments of each walker's way.
  public let segments: Int
  /// The rate that is expected, in steps a second of all cores.
  public let expectedRate: Double

  /// Plans for a device.
  ///
  /// - Parameters:
  ///   - memory: bytes that the proof may take.
  ///   - cores: cores that walk.
  ///   - laneRate: steps of lanes a second that all cores do.
  ///   - walkRate: steps of walks a second that all cores do, as the device says.
  ///   - fillSeconds: how long filling may take; what cannot be filled in it is not looked at.
  ///   - walkSeconds: how long a walk takes at `walkRate`.
  ///   - segmentSteps: steps of a segment.
  /// - Returns: `nil` where the memory is too little for any table, or a rate is none.
  public init?(
    memory: Int, cores: Int, laneRate: Double, walkRate: Double, fillSeconds: Double,
    walkSeconds: Double, segmentSteps: Int = MemoryPlan.segmentSteps
  ) {
    guard cores >= 1, laneRate.isFinite, laneRate > 0, walkRate.isFinite, walkRate > 0 else {
      return nil
    }
    self.segmentSteps = segmentSteps
    let steps = MemoryPuzzle.allowedLabelSteps
    let wanted = laneRate * Self.slack / walkRate / Self.missing
    labelSteps = Int(min(Double(steps.upperBound), max(32, wanted.rounded(.up))))
    // Memory so slow that no label is slow enough has to be faster than it says.
    expectedRate = max(
      walkRate / Self.slack, laneRate / (Self.missing * Double(steps.upperBound)))
    let walkers = Double(cores * MemoryPuzzle.walkersPerCore)
    segments = Int(
      min(
        max(1, walkRate * walkSeconds / (walkers * Double(segmentSteps))),
        Double(MemoryPuzzle.allowedSegments.upperBound)))
    self.cores = min(cores, MemoryPuzzle.allowedCores.upperBound)
    let trees = 3 * 32 * MemoryPuzzle.walkersPerCore * (segments + 1) * self.cores
    let fits = (memory - trees) / 32
    let least = MemoryPuzzle.allowedLabels.lowerBound
    guard fits >= least else { return nil }
    let filled = min(laneRate * max(0, fillSeconds) / Double(labelSteps), 1e15)
    labels = min(fits, max(least, Int(filled)), MemoryPuzzle.allowedLabels.upperBound)
  }

  /// Bytes of the table.
  public var tableByteCount: Int { labels * 32 }
  /// How long filling takes at `laneRate`.
  public func fillSeconds(laneRate: Double) -> Double {
    Double(labels) * Double(labelSteps) / max(1, laneRate)
  }

  /// The puzzle. Throws `malformed` for sizes that none has.
  public func puzzle() throws -> MemoryPuzzle {
    try MemoryPuzzle(
      labels: labels, labelSteps: labelSteps, cores: cores, segments: segments,
      segmentSteps: segmentSteps)
  }
}
