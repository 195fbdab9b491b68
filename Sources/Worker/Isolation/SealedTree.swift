import IorunCore
import IorunSandbox

/// One tree of a runtime job's processes that is to run in the job's sandbox: a zygote with its workers,
/// or a worker program.
struct SealedTree: Sendable {
  /// The sandbox.
  var seal: RankSeal
  /// What the machine shows of itself in it.
  var shown: RuntimePrograms
  /// Held until the processes have inherited it.
  var arena: ArenaFile
  /// The program inside, where the tree is a worker program.
  var program: String?
  /// The working folder inside that came from the driver's node.
  var folder: String?
}
