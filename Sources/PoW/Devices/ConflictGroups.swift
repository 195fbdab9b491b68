internal import IorunCore

/// Which devices could be one: they are always tested in the same burst, so that one machine cannot
/// prove itself twice. Their verified capacity together never exceeds the real one.
public struct ConflictGroups: Sendable {
  /// What may tie devices together. None of it is believed; all of it can only add to a group.
  public struct Traits: Hashable, Codable, Sendable {
    /// Who is paid.
    public var owner: String?
    /// The public address, of which the block counts: /24, or /48 of IPv6.
    public var addressBlock: String?
    /// UUIDs of GPUs.
    public var gpus: Set<String> = []
    /// The serial number of the board.
    public var boardSerial: String?
    /// Devices whose latency to all reflectors is the same.
    public var latencyTwins: Set<DeviceID> = []

    /// Describes a device.
    public init(
      owner: String? = nil, addressBlock: String? = nil, gpus: Set<String> = [],
      boardSerial: String? = nil, latencyTwins: Set<DeviceID> = []
    ) {
      self.owner = owner
      self.addressBlock = addressBlock
      self.gpus = gpus
      self.boardSerial = boardSerial
      self.latencyTwins = latencyTwins
    }

    fileprivate var marks: [String] {
      [
        owner.map { "owner \($0)" }, addressBlock.map { "block \($0)" },
        boardSerial.map { "board \($0)" },
      ].compactMap { $0 } + gpus.map { "gpu \($0)" }
    }
  }

  /// The groups, each ascending, in the order of their first devices.
  public let groups: [[DeviceID]]

  /// Finds the groups: devices with anything in common, and whoever has something in common with
  /// these.
  public init(_ devices: [DeviceID: Traits]) {
    var parent: [DeviceID: DeviceID] = [:]
    func root(_ device: DeviceID) -> DeviceID {
      var device = device
      while let next = parent[device], next != device {
        parent[device] = parent[next]
        device = next
      }
      return device
    }
    var firstWith: [String: DeviceID] = [:]
    for device in devices.keys.sorted() {
      parent[device] = device
    }
    for (device, traits) in devices.sorted(by: { $0.key < $1.key }) {
      for mark in traits.marks {
        if let other = firstWith[mark] {
          parent[root(device)] = root(other)
        } else {
          firstWith[mark] = device
        }
      }
      for twin in traits.latencyTwins where devices[twin] != nil {
        parent[root(device)] = root(twin)
      }
    }
    groups = Dictionary(grouping: devices.keys.sorted(), by: root).values
      .sorted { $0[0] < $1[0] }
  }

  /// Deals whole groups out to bursts of at most `capacity` devices (a larger group is a burst of its
  /// own), in an order that `generator` shuffles anew each epoch: who hides in another burst this hour
  /// meets its twin in the next.
  public func bursts(
    capacity: Int, using generator: inout some RandomNumberGenerator
  ) -> [[DeviceID]] {
    var bursts: [[DeviceID]] = []
    for group in groups.shuffled(using: &generator) {
      if let last = bursts.indices.last, bursts[last].count + group.count <= capacity {
        bursts[last] += group
      } else {
        bursts.append(group)
      }
    }
    return bursts
  }
}
