internal import CSandbox
internal import Foundation
internal import IorunCore

/// A device node that the processes of a sandbox may read and write.
struct DeviceNumber: Hashable, Sendable {
  var isBlock = false
  var major: Int64
  /// `nil`: every one.
  var minor: Int64?

  /// What every program may open: null, zero, full, random, urandom; its own terminals.
  static let common: [DeviceNumber] =
    [3, 5, 7, 8, 9].map { DeviceNumber(major: 1, minor: $0) } + [
      DeviceNumber(major: 5, minor: 0), DeviceNumber(major: 5, minor: 2),
      DeviceNumber(major: 136, minor: nil),
    ]

  /// Reads the number of a node. Throws `specInvalid` for what is none.
  init(node path: String) throws {
    let device = try OCIConfiguration.Device(path)
    isBlock = device.type == "b"
    major = device.major
    minor = device.minor
  }

  init(isBlock: Bool = false, major: Int64, minor: Int64?) {
    self.isBlock = isBlock
    self.major = major
    self.minor = minor
  }
}

extension ControlGroup {
  /// Lets the group's processes open ``DeviceNumber/common`` and these, whatever nodes they find, by the
  /// device controller of version 1 or a program of the kernel's in version 2. Without either nothing
  /// happens: which nodes there are is the first wall, and this the second.
  ///
  /// - Throws: `sandboxFailed` where the host has a controller and it refuses.
  func allowDevices(_ devices: [DeviceNumber]) throws {
    let all = DeviceNumber.common + devices
    if let folder = folders["devices"] {
      try Self.write("a", to: folder + "/devices.deny")
      for device in all {
        let minor = device.minor.map(String.init) ?? "*"
        try Self.write(
          "\(device.isBlock ? "b" : "c") \(device.major):\(minor) rw",
          to: folder + "/devices.allow")
      }
    } else if let folder = folders["unified"] {
      let group = try OpenFile(folder, O_RDONLY | O_DIRECTORY)
      let rules = all.map {
        iorun_device_rule(is_block: $0.isBlock ? 1 : 0, major: $0.major, minor: $0.minor ?? -1)
      }
      let number = iorun_device_filter(group.descriptor, rules, Int32(rules.count))
      // Without the right, or in a kernel without it.
      guard number != 0, number != EPERM, number != ENOSYS, number != EINVAL else { return }
      throw IorunError(
        .sandboxFailed,
        "devices of a sandbox cannot be limited: \(String(cString: strerror(number)))")
    }
  }
}
