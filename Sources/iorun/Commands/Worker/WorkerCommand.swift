internal import ArgumentParser
internal import Foundation
internal import IorunClient
internal import IorunCore
internal import IorunWorker

/// `iorun worker`: what the owner of a machine that has joined wants of it.
struct WorkerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "worker",
    abstract: "See what this machine does for its network, and say when it may.",
    discussion: """
      For the machine on which `iorun join` runs. What is said here holds over restarts, and also \
      where the agent does not run now.
      """,
    subcommands: [
      WorkerShow.self, WorkerPause.self, WorkerResume.self, WorkerDrain.self, WorkerLimit.self,
    ],
    defaultSubcommand: WorkerShow.self)
}

/// The folder of this machine's node, and what its owner wants.
struct WorkerOptions: ParsableArguments {
  @OptionGroup var state: StateOptions

  @Flag(help: "Print one JSON object (docs/JSON.md).")
  var json = false

  /// The node's folder.
  ///
  /// - Throws: `notRunning` where this machine has joined nothing.
  func folder() throws -> String {
    let folder = state.folder.node
    guard try NodeMembership.load(from: folder) != nil else {
      throw IorunError(
        .notRunning, "this machine has joined no network", remedy: "Join with `iorun join TICKET`")
    }
    return folder
  }

  /// Changes what the owner wants, and shows what holds now.
  func change(_ body: (inout OwnerWishes) throws -> Void) throws {
    let folder = try folder()
    var wishes = try OwnerWishes.load(from: folder)
    try body(&wishes)
    try wishes.save(to: folder)
    let view = try WorkerView(folder: folder)
    Output.write(json ? try JSONOutput.line(view) : WorkerRendering.wishes(view))
  }
}

/// `iorun worker show`.
struct WorkerShow: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Show what runs here, and what the owner wants.")

  @OptionGroup var options: WorkerOptions

  func run() async throws {
    let view = try WorkerView(folder: try options.folder())
    Output.write(
      options.json ? try JSONOutput.line(view) : WorkerRendering.text(view, now: Output.now))
  }
}

/// `iorun worker pause`.
struct WorkerPause: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pause", abstract: "Take no new work; what runs goes on, unless --now.")

  @OptionGroup var options: WorkerOptions

  @Flag(help: "End what runs, too: within seconds, and its jobs hear that the owner wanted it.")
  var now = false

  func run() async throws {
    try options.change { wishes in
      wishes.isPaused = true
      if now { wishes.endings += 1 }
    }
  }
}

/// `iorun worker resume`.
struct WorkerResume: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "resume", abstract: "Take work again, within the limits.")

  @OptionGroup var options: WorkerOptions

  func run() async throws {
    try options.change { wishes in
      wishes.isPaused = false
      wishes.isLeaving = false
    }
  }
}

/// `iorun worker drain`.
struct WorkerDrain: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drain",
    abstract: "Take no new work, and leave the network once nothing runs here any more.")

  @OptionGroup var options: WorkerOptions

  @Flag(help: "Return only when the agent has ended.")
  var wait = false

  func run() async throws {
    try options.change { $0.isLeaving = true }
    let folder = try options.folder()
    while wait, WorkerView.isRunning(folder) { try await Task.sleep(for: .milliseconds(500)) }
  }
}

/// `iorun worker limit`.
struct WorkerLimit: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "limit", abstract: "Say when this machine may work.",
    discussion: """
      What is given takes the place of what was said before; the rest stays. `none` takes a limit \
      away. Cores, GPUs, memory and GPU memory are options of `iorun join`.
      Outside of its limits the machine takes no new work, and what runs goes on; with --end-work \
      it is ended after a minute.
      """)

  @OptionGroup var options: WorkerOptions

  @Option(help: "The hours of the day, by this machine's clock: 22:00-07:00.")
  var hours: String?

  @Option(
    name: .customLong("idle-minutes"),
    help:
      """
      Only after so many minutes in which others kept less than half a core busy, used no GPU, and nobody \
      typed or was at a desktop that is neither idle nor locked.
      """
  )
  var idleMinutes: String?

  @Option(
    name: .customLong("max-celsius"), help: "Not while a sensor, or a GPU, shows so many degrees.")
  var maximumCelsius: String?

  @Flag(inversion: .prefixedNo, help: "End what runs, too, a minute after a limit is passed.")
  var endWork: Bool?

  func run() async throws {
    try options.change { wishes in
      if let hours { wishes.limits.hours = hours == "none" ? nil : try DailyHours(hours) }
      if let idleMinutes {
        wishes.limits.idleMinutes = try number(idleMinutes, 1...1440, "--idle-minutes")
      }
      if let maximumCelsius {
        wishes.limits.maximumCelsius = try number(maximumCelsius, 20...150, "--max-celsius")
      }
      if let endWork { wishes.limits.endsWork = endWork ? true : nil }
    }
  }

  private func number(_ text: String, _ range: ClosedRange<Int>, _ option: String) throws -> Int? {
    if text == "none" { return nil }
    guard let number = Int(text), range.contains(number) else {
      throw IorunError(
        .specInvalid, "\(option) takes a number from \(range.lowerBound) to \(range.upperBound)",
        remedy: "Or 'none' for no limit")
    }
    return number
  }
}
