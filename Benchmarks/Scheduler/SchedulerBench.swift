import ArgumentParser

/// Measures the scheduler's decisions on data of others, beside what was published about them.
@main
struct SchedulerBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "SchedulerBench",
    abstract: "Quality and speed of the scheduler's decisions.",
    discussion: "Each command prints a table, or with --json one object on standard output.",
    subcommands: [
      OpenB.self, Group.self, Coordinates.self, Scale.self, GangBench.self, Places.self,
      Refine.self, Replay.self, RepairBench.self,
    ])
}
