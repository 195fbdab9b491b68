internal import Foundation

/// The head of a report for people.
enum MachineText {
  static func render(_ machine: Machine) -> String {
    let date = Date(timeIntervalSince1970: Double(machine.startedAtUnixSeconds))
    let load = [machine.loadAverageAtStart, machine.loadAverageAtEnd ?? 0]
      .map { Figures.fixed($0, 2) }
    return """
      \(machine.processor), \(machine.cores) cores, \
      \(machine.memoryBytes >> 30) GiB, Linux \(machine.kernel)
      iorun \(machine.iorun), Swift \(machine.swift), libzmq \(machine.libzmq), \
      \(date.formatted(.iso8601)), load average \(load[0]) before and \(load[1]) after
      """
  }
}
