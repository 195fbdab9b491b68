internal import Foundation
internal import IorunCore
internal import IorunWire

/// How a node's hub behaves. The defaults are for real use; tests shorten the times.
struct HubSettings: Sendable {
  /// The node's folder: `hub.json`, logs and spilled objects.
  var folder: String
  /// The node.
  var node: NodeID
  /// Its name for people.
  var name: String
  /// Its address for other nodes.
  var address: String
  /// Where the head listens: `host:port`.
  var headAddress: String
  /// Everything that the node offers to runtime jobs.
  var total: ResourceAmounts
  /// How many GPUs it has.
  var gpuCount: Int
  /// Its labels.
  var labels: [String: String]
  /// Where a job's objects are spilled: below this folder.
  var spillFolder: String
  /// How large an arena is.
  var arenaBytes: Int64
  /// How processes are started.
  var launcher: RuntimeLauncher
  /// What keeps the processes of other machines' drivers apart from this one; `nil` where they are
  /// ordinary processes.
  var sealed: SealedJobs?
  /// The programs of drivers of other machines.
  var programs: ProgramStore?
  /// The versions of the local protocol that it speaks.
  var versions = LocalLimits.versions
  /// How long a connection may be silent before it says hello.
  var helloLimit: Duration = .seconds(10)
  /// How long a process has between the event `stop` and SIGKILL.
  var stopGrace: Duration = .seconds(1)
  /// How long the hub waits for a zygote's word on how a worker ended.
  var causeGrace: Duration = .milliseconds(500)
  /// How long a zygote may take until it says hello, without building an environment.
  var zygoteLimit: Duration = .seconds(120)
  /// The most of one worker's output that is kept in a file, by stream.
  var outputLimit: Int64 = 64 << 20

  /// When workers end for want of memory.
  var memory = MemoryPressure.Settings()
  /// Reads a file of the kernel's; `nil` where there is none.
  var readFile: @Sendable (String) -> String? = { KernelFile.text($0) }

  /// How many workers are kept warm.
  var warmWorkers: Int { max(1, Int(total[ResourceAmounts.cpu])) }
}
