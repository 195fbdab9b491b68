import IorunContract
import IorunCore
import IorunSandbox

extension RankUsage {
  /// What a sandbox's control groups counted, in the head's words. A limit of the processor that was met
  /// is told with how long the rank waited; most ranks meet it now and then.
  init(_ end: SandboxExit) {
    self.init(
      peakMemory: end.usage.peakMemory, outOfMemoryKills: end.usage.outOfMemoryKills,
      refusedProcesses: end.usage.refusedProcesses,
      throttledMilliseconds: Int64(clamping: Int(end.usage.throttled / .milliseconds(1))),
      limitsHit: end.limitsHit.map(\.rawValue).sorted())
  }
}
