internal import Foundation
internal import IorunCore

/// Mounts of scratch, and how to be rid of them.
enum ScratchMounts {
  /// The mount points below `folder`, the innermost and latest first.
  static func below(_ folder: String) -> [String] {
    ControlGroup.text("/proc/self/mountinfo").split(separator: "\n").compactMap { line in
      let fields = line.split(separator: " ")
      return fields.count > 4 && fields[4].hasPrefix(folder + "/") ? String(fields[4]) : nil
    }.reversed()
  }

  /// Unmounts, and again where it is busy for a moment. Throws `scratchFailed`.
  static func unmount(_ path: String, deadline: Duration = .seconds(10)) throws {
    let end = ContinuousClock.now + deadline
    while umount2(path, 0) != 0 {
      let number = errno
      if number == EINVAL || number == ENOENT { return }
      guard number == EBUSY, ContinuousClock.now < end else {
        throw IorunError(
          .scratchFailed, "cannot unmount \(path): \(String(cString: strerror(number)))",
          remedy: "End the processes that use it: fuser -m \(path)")
      }
      usleep(5000)
    }
  }

  /// Waits until no loop device uses the file: the kernel lets go of it after the mount is gone.
  static func waitForLoop(_ file: String, deadline: Duration = .seconds(10)) throws {
    let end = ContinuousClock.now + deadline
    while loops(on: file).first != nil {
      guard ContinuousClock.now < end else {
        throw IorunError(.scratchFailed, "a loop device does not let go of \(file)")
      }
      usleep(5000)
    }
  }

  /// The loop devices that use a file, for example `/dev/loop3`.
  static func loops(on file: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: "/sys/block")) ?? [])
      .filter { name in
        guard name.hasPrefix("loop") else { return false }
        let backing = ControlGroup.text("/sys/block/\(name)/loop/backing_file")
        return backing.trimmingCharacters(in: .newlines) == file
      }
      .map { "/dev/" + $0 }
  }

  /// Makes an ext4 file system in `device`, a file or a device. No journal: after a crash nobody reads
  /// it again.
  static func makeFileSystem(_ device: String) throws {
    _ = try HelperProgram.run(
      "mkfs.ext4",
      [
        "-q", "-F", "-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard", device,
      ])
  }

  /// Makes a sparse file.
  static func makeImage(_ path: String, size: Bytes) throws {
    let file = try OpenFile(path, O_CREAT | O_EXCL | O_RDWR)
    guard ftruncate(file.descriptor, off_t(clamping: size.rawValue)) == 0 else {
      throw IorunError.system("cannot make", path, errno: errno)
    }
  }

  /// From now on what is unmounted below `folder` goes from each copy of this process's mounts, too. A
  /// sandbox that starts while another one's scratch is mounted has such a copy, and would hold it for as
  /// long as it runs where the machine's mounts are private, as in containers (mount_namespaces(7)).
  ///
  /// - Returns: false where it cannot be done.
  static func share(_ folder: String) -> Bool {
    guard mount(folder, folder, nil, UInt(MS_BIND), nil) == 0 else { return false }
    if mount(nil, folder, nil, UInt(MS_SHARED), nil) == 0 { return true }
    unshare(folder)
    return false
  }

  /// The end of `share`, any number of times. A disk that the machine's owner mounted there stays.
  static func unshare(_ folder: String) {
    while isShared(folder), umount2(folder, Int32(MNT_DETACH)) == 0 {}
  }

  /// True where a folder is mounted onto itself: the device is that of the mount around it.
  private static func isShared(_ folder: String) -> Bool {
    let mounts = ControlGroup.text("/proc/self/mountinfo").split(separator: "\n").map {
      $0.split(separator: " ", maxSplits: 5)
    }.filter { $0.count > 5 }
    guard let own = mounts.last(where: { $0[4] == folder }),
      let around = mounts.first(where: { $0[0] == own[1] })
    else { return false }
    return own[2] == around[2]
  }

  /// Tears down what a dead agent left below `folder`: mounts, loop devices, mappings, ciphertext.
  /// Their keys end with them. Throws `scratchFailed` for what is in use.
  static func removeLeftovers(below folder: String) throws {
    for mount in below(folder) {
      do {
        try unmount(mount, deadline: .milliseconds(500))
      } catch {
        // A file system whose process is dead, or with an open file: it goes with its last user.
        umount2(mount, Int32(MNT_DETACH))
      }
    }
    unshare(folder)
    for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] {
      let image = folder + "/" + name + "/image"
      let mapping = DMCryptScratch.mapping(for: folder + "/" + name)
      if access("/dev/mapper/" + mapping, F_OK) == 0 {
        _ = try? HelperProgram.run("cryptsetup", ["close", mapping])
      }
      for loop in loops(on: image) { _ = try? HelperProgram.run("losetup", ["-d", loop]) }
      try FileManager.default.removeItem(atPath: folder + "/" + name)
    }
  }
}
