internal import Foundation
internal import Glibc
internal import IorunCore
internal import IorunSandbox

/// Whether somebody works at a desktop of the machine: what systemd-logind says of its sessions, else what
/// display managers write into utmp(5). A session that its desktop calls idle, or has locked, is nobody's.
struct DesktopSessions: Sendable {
  private let root: String
  private let isIdle: @Sendable (String) -> Bool?

  /// - Parameters:
  ///   - root: the files below it are looked at.
  ///   - isIdle: what logind says of a session; `nil` where it says nothing.
  init(root: String = "", isIdle: @escaping @Sendable (String) -> Bool? = Self.asksLogind) {
    self.root = root
    self.isIdle = isIdle
  }

  /// True while somebody is at one. Blocks: logind is asked where there is a desktop.
  var isUsed: Bool {
    let folder = root + "/run/systemd/sessions"
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    let sessions = names.filter { $0.allSatisfy { $0.isLetter || $0.isNumber } }
    guard sessions.isEmpty else {
      return sessions.contains { name in
        Self.isDesktop(KernelFile.text(folder + "/" + name) ?? "") && isIdle(name) != true
      }
    }
    // Without logind nobody says whether it is idle: a screen that somebody is logged in at is in use.
    return Self.displays(
      (try? Data(contentsOf: URL(fileURLWithPath: root + "/run/utmp"))) ?? Data()
    ).contains { $0.hasPrefix(":") }
  }

  /// The session's file: lines of `KEY=VALUE`, as logind keeps it for sd-login(3).
  static func isDesktop(_ text: String) -> Bool {
    var values: [Substring: Substring] = [:]
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: "=", maxSplits: 1)
      if parts.count == 2 { values[parts[0]] = parts[1] }
    }
    return ["x11", "wayland", "mir"].contains(values["TYPE"] ?? "") && values["ACTIVE"] == "1"
      && values["REMOTE"] != "1" && values["CLASS"]?.hasPrefix("user") == true
  }

  /// The lines (terminals, and displays such as `:0`) that users are logged in at.
  static func displays(_ bytes: Data) -> [String] {
    let size = MemoryLayout<utmpx>.size
    return stride(from: 0, to: bytes.count - size + 1, by: size).compactMap { offset in
      let entry = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: utmpx.self) }
      guard Int32(entry.ut_type) == USER_PROCESS else { return nil }
      return withUnsafeBytes(of: entry.ut_line) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
    }
  }

  /// Asks loginctl(1).
  static func asksLogind(_ session: String) -> Bool? {
    guard let program = InstalledProgram.find("loginctl") else { return nil }
    let end = try? HelperProgram.ask(
      program, ["show-session", session, "--property=IdleHint", "--property=LockedHint"],
      within: .seconds(10))
    guard let end, end.status == 0, !end.output.isEmpty else { return nil }
    let said = end.output
    return said.contains("IdleHint=yes") || said.contains("LockedHint=yes")
  }
}
