internal import Foundation

/// What the guard does about containers that are not the network's.
public struct GuardPolicy: Sendable, Codable, Hashable {
  /// How strict.
  public enum Mode: String, Sendable, Codable, CaseIterable {
    /// The machine is its owner's too: everything is reported, and only what uses a leased device is
    /// stopped.
    case shared
    /// The machine is the network's: every container that is not allowed is stopped.
    case exclusive
  }

  /// How strict.
  public var mode: Mode
  /// Says what it would do, and does nothing.
  public var isDryRun: Bool
  /// What is allowed, as parts of control groups' paths: `/system.slice/backup.service`.
  public var allowedGroups: [String]
  /// What is allowed, as files of programs.
  public var allowedPrograms: Set<String>
  /// The most processes that are stopped within a minute; the rest is reported only.
  public var stopsPerMinute: Int
  /// How long a process is frozen before it is killed.
  public var grace: Duration

  /// Describes a policy.
  public init(
    mode: Mode, isDryRun: Bool = false, allowedGroups: [String] = [],
    allowedPrograms: Set<String> = [], stopsPerMinute: Int = 20, grace: Duration = .seconds(5)
  ) {
    self.mode = mode
    self.isDryRun = isDryRun
    self.allowedGroups = allowedGroups
    self.allowedPrograms = allowedPrograms
    self.stopsPerMinute = stopsPerMinute
    self.grace = grace
  }
}

/// What becomes of a process that the guard looked at.
public enum GuardDecision: Hashable, Sendable, Codable {
  /// Nothing: it is ours, the host's, or allowed.
  case ignore
  /// It is written down.
  case report(reason: String)
  /// It is frozen, and killed after the grace.
  case stop
}

/// Decides, and remembers how often it decided to stop something.
public struct GuardLedger: Sendable {
  private let policy: GuardPolicy
  /// Ids that are never touched: 1, the agent's own and its ancestors'.
  private let untouchable: Set<Int32>
  private var stops: [Duration] = []

  static let tooMany = "too many were stopped within a minute"
  static let sessionPrograms: Set<String> = [
    "sshd", "login", "systemd", "systemd-logind", "init", "gdm", "sddm", "Xorg", "Xwayland",
    "gnome-shell", "kwin_wayland", "kwin_x11", "plasmashell", "sway",
    // What looks after GPUs has them open without using them.
    "nvidia-persistenced", "nvidia-powerd", "nvidia-smi", "nv-hostengine", "nv-fabricmanager",
    "dcgm-exporter",
  ]

  /// Begins with nothing stopped.
  public init(_ policy: GuardPolicy, untouchable: Set<Int32>) {
    self.policy = policy
    self.untouchable = untouchable.union([0, 1])
  }

  /// What to do about a process at the time `now`.
  public mutating func decide(
    _ facts: ProcessFacts, _ kind: ProcessClass, now: Duration
  ) -> GuardDecision {
    let usesLeasedDevice = !facts.devices.isEmpty && kind != .ours
    guard kind == .container || kind == .runtime || usesLeasedDevice else { return .ignore }
    if policy.allowedPrograms.contains(facts.program)
      || policy.allowedGroups.contains(where: facts.groups.contains)
    {
      return usesLeasedDevice ? .report(reason: "allowed, but uses a leased device") : .ignore
    }
    let name = facts.program.split(separator: "/").last.map(String.init) ?? ""
    // A container's program can have any name.
    let isNamed =
      Self.sessionPrograms.contains(name)
      && !ProcessClassifier.groupMarks.contains(where: facts.groups.contains)
    if untouchable.contains(facts.pid) || isNamed
      || facts.groups.contains("/session-") || Self.isOfDesktop(facts.groups)
    {
      return .report(
        reason: "never touched: the agent's own, a person's session, or what looks after GPUs")
    }
    guard policy.mode == .exclusive || usesLeasedDevice else {
      return .report(reason: "the machine is shared")
    }
    guard !policy.isDryRun else { return .report(reason: "would be stopped: dry run") }
    stops.removeAll { now - $0 > .seconds(60) }
    guard stops.count < policy.stopsPerMinute else {
      return .report(reason: Self.tooMany)
    }
    stops.append(now)
    return .stop
  }
}

extension GuardLedger {
  /// True for what a person's desktop runs: systemd puts its applications, which are sandboxes of their
  /// own where they are Flatpaks or browsers, below the user's own manager
  /// (https://systemd.io/DESKTOP_ENVIRONMENTS). A container that a user starts there is none of it.
  static func isOfDesktop(_ groups: String) -> Bool {
    groups.split(separator: "\n").contains { line in
      guard let user = line.range(of: "/user@") else { return false }
      let below = line[user.upperBound...]
      let slices = ["/app.slice/", "/session.slice/", "/background.slice/"]
      return slices.contains(where: below.contains)
        && !ProcessClassifier.groupMarks.contains(where: below.contains)
    }
  }
}

/// Which processes the guard looks at.
public enum GuardScope: Sendable, Hashable {
  /// All of the machine.
  case machine
  /// Those in a control group of that name, or below it.
  case group(String)

  func contains(_ facts: ProcessFacts) -> Bool {
    switch self {
    case .machine: true
    case .group(let name):
      facts.groups.split(separator: "\n").contains {
        $0.split(separator: "/").contains(Substring(name))
      }
    }
  }
}

/// One thing that the guard saw and did.
public struct GuardIncident: Sendable, Hashable {
  /// The evidence.
  public var facts: ProcessFacts
  /// What it was taken for.
  public var kind: ProcessClass
  /// What was decided.
  public var decision: GuardDecision
  /// Whether it was seen when it began, or in a scan of all.
  public var wasEvent: Bool
}
