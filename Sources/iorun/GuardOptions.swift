internal import ArgumentParser
internal import IorunCore
internal import IorunWorker

/// How a node watches its machine.
struct GuardOptions: ParsableArguments {
  @Option(
    name: .customLong("guard"),
    help: ArgumentHelp(
      "Watch this machine for containers that are not the network's: off (the default), shared or "
        + "exclusive; needs root.",
      discussion: """
        shared: they are reported, and only what uses a leased GPU is stopped. exclusive: every \
        container that is not allowed is frozen and killed after 5 seconds. Never touched: process 1, \
        the agent and what started it, and people's sessions. `iorun worker show` lists what it saw.
        """),
    transform: { text in
      guard let mode = GuardSettings.Mode(rawValue: text) else {
        throw ValidationError("use off, shared or exclusive")
      }
      return mode
    })
  var mode: GuardSettings.Mode?

  @Option(
    name: .customLong("guard-allow"), help: "The file of a program that the guard leaves alone.")
  var allowedPrograms: [String] = []

  @Option(
    name: .customLong("guard-allow-group"),
    help: "A part of a control group's path, such as /system.slice/backup.service, to leave alone.")
  var allowedGroups: [String] = []

  @Flag(
    name: .customLong("guard-dry-run"), inversion: .prefixedNo,
    help: "Say what the guard would stop, and stop nothing.")
  var isDryRun: Bool?

  @Option(
    name: .customLong("guard-scope"),
    help: "Look only at processes in the control group of that name (default: at all).")
  var scope: String?

  /// What was known with what is given put in its place; `nil` where nothing ever was.
  func settings(known: GuardSettings?) throws -> GuardSettings? {
    let isGiven =
      mode != nil || isDryRun != nil || scope != nil || !allowedPrograms.isEmpty
      || !allowedGroups.isEmpty
    guard isGiven else { return known }
    for path in allowedPrograms + allowedGroups where !path.hasPrefix("/") || path.count < 2 {
      throw IorunError(
        .specInvalid, "--guard-allow: '\(path)' does not begin with / or allows everything",
        remedy: "Give the path of a program, or a part of a control group's path")
    }
    var settings = known ?? GuardSettings()
    settings.mode = mode ?? settings.mode
    settings.isDryRun = isDryRun ?? settings.isDryRun
    settings.group = scope ?? settings.group
    if !allowedPrograms.isEmpty { settings.allowedPrograms = Set(allowedPrograms) }
    if !allowedGroups.isEmpty { settings.allowedGroups = allowedGroups }
    return settings
  }
}
