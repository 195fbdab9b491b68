public import IorunCore
internal import IorunCrypto

/// The labels that a device fills its memory with before it walks over them. They are the same in all
/// rounds of an epoch; where the walks begin nobody knows before the device says that it is ready, so
/// filling needs no time limit of its own.
public struct TableOrder: Hashable, Sendable {
  /// The device.
  public let device: DeviceID
  /// Hours since 1970 (UTC).
  public let epoch: Int64
  /// What nobody could know before the epoch's window.
  public let beacon: Digest
  /// How many labels of 32 bytes.
  public let labels: Int
  /// Steps behind each.
  public let labelSteps: Int
  /// True for one in a GPU's memory, whose labels are others.
  public let isOnGPU: Bool

  /// Describes a table. Throws `malformed` for sizes that no puzzle has.
  public init(
    device: DeviceID, epoch: Int64, beacon: Digest, labels: Int, labelSteps: Int,
    isOnGPU: Bool = false
  ) throws {
    guard epoch >= 0 else { throw IorunError(.malformed, "a table of epoch \(epoch)") }
    try Limit.check(labels, in: MemoryPuzzle.allowedLabels, "labels")
    try Limit.check(labelSteps, in: MemoryPuzzle.allowedLabelSteps, "label_steps")
    self.device = device
    self.epoch = epoch
    self.beacon = beacon
    self.labels = labels
    self.labelSteps = labelSteps
    self.isOnGPU = isOnGPU
  }

  /// Bytes of the table.
  public var byteCount: Int { labels * 32 }

  /// The seed of the labels: ``Challenge/tableSeed`` of the walks over them.
  public var seed: Digest {
    let text = [
      "iorun/\(Challenge.version)", isOnGPU ? "gpu-table" : "table", device.description, "\(epoch)",
      beacon.description,
      "labels=\(labels)", "label_steps=\(labelSteps)",
    ].joined(separator: "|")
    return SHA256.digest(of: Array(text.utf8))
  }
}

extension TableOrder: Codable {
  private enum CodingKeys: String, CodingKey {
    case device, epoch, beacon, labels, labelSteps, isOnGPU
  }

  /// Reads an order with the checks of `init`.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    try self.init(
      device: values.decode(DeviceID.self, forKey: .device),
      epoch: values.decode(Int64.self, forKey: .epoch),
      beacon: values.decode(Digest.self, forKey: .beacon),
      labels: values.decode(Int.self, forKey: .labels),
      labelSteps: values.decode(Int.self, forKey: .labelSteps),
      isOnGPU: values.decodeIfPresent(Bool.self, forKey: .isOnGPU) ?? false)
  }
}
