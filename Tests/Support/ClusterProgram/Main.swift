import Foundation
import IorunRuntime

/// A program of a runtime job: runs the scenarios that it is given by name, and says `ok` for each.
@main
struct ClusterProgram {
  static func main() async {
    do {
      let names = CommandLine.arguments.dropFirst()
      try await Cluster.run(
        tasks: [
          Square.self, Add.self, Halves.self, Refuse.self, Nested.self, DieUntil.self,
          Meet.self, Forever.self, Deaf.self, Numbers.self, References.self, Call.self,
          Surroundings.self, Split.self, Made.self, Pid.self, Devices.self, Parent.self, Flood.self,
        ],
        streams: [Produce.self, Counted.self],
        actors: [Counter.self, Sequence.self, Stillborn.self, Door.self, Watcher.self],
        errors: [NotTwelve.self],
        namespace: "check"
      ) { cluster in
        for name in names {
          guard let scenario = allScenarios[name] else {
            throw Wrong("no scenario '\(name)'", #line)
          }
          do {
            try await scenario(cluster)
          } catch {
            throw Wrong("\(name): \(error)", 0)
          }
          print("ok \(name)")
        }
      }
    } catch {
      FileHandle.standardError.write(Data("\(error)\n".utf8))
      exit(1)
    }
  }
}
