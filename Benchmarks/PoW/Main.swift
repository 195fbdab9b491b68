import ArgumentParser
import Foundation
import IorunPoW

/// The kernels of proof of work beside OpenSSL and the processor's limits, in one run: what
/// `iorun pow bench` prints, for trials of any length.
@main
struct PoWBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "iorun-pow-bench",
    abstract: "Measure the kernels of proof of work beside OpenSSL.")

  @Option(help: "CPU seconds of a trial.")
  var seconds = 0.1

  @Option(help: "Trials of a measurement; the best counts.")
  var trials = 5

  @Option(help: "MiB of labels that are walked over.")
  var walkMib = 1024

  @Option(help: "Rows and columns of the product.")
  var size = 4096

  func run() throws {
    let bench = KernelBench(
      trialSeconds: seconds, trials: trials, walkBytes: walkMib << 20, productSize: size)
    let cores = ProcessInfo.processInfo.activeProcessorCount
    print("clock \((KernelBench.clockHz() / 1e7).rounded() / 100) GHz, \(cores) cores")
    _ = try bench.run(threads: cores > 1 ? [1, cores] : [1]) { print(KernelBenchTable.line($0)) }
  }
}
