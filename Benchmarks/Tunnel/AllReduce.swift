import Foundation
import WanLink

/// A Gloo all-reduce of 33.5 MB between two PyTorch processes, one in each namespace.
enum AllReduce {
  private static let program = """
    import os, sys, time
    import torch, torch.distributed as dist
    rank, address, seconds = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://{address}:29511", rank=rank, world_size=2)
    tensor = torch.ones(8_388_608)
    dist.all_reduce(tensor)
    times = []
    for _ in range(7):
        dist.barrier()
        start = time.monotonic()
        dist.all_reduce(tensor)
        times.append(time.monotonic() - start)
    if rank == 0:
        print(sorted(times)[len(times) // 2] * 1000)
    """

  /// The median of seven, in milliseconds.
  static func milliseconds(
    _ python: String, _ tunnel: RunningTunnel, _ kind: TunnelKind, _ namespaces: NetworkNamespaces
  ) throws -> Double {
    // Rank 0 listens at the far end, in b.
    func start(_ rank: Int, _ role: String, _ output: Pipe) throws -> Process {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      process.arguments =
        ["timeout", "120"]
        + namespaces.command(
          in: role, [python, "-c", program, "\(rank)", kind.farAddress, "0"])
      process.environment = ProcessInfo.processInfo.environment.merging([
        "GLOO_SOCKET_IFNAME": tunnel.interface(at: role == "a" ? 1 : 2, kind),
        "TP_SOCKET_IFNAME": tunnel.interface(at: role == "a" ? 1 : 2, kind),
      ]) { $1 }
      process.standardInput = FileHandle.nullDevice
      process.standardOutput = output
      process.standardError = FileHandle.nullDevice
      try process.run()
      return process
    }
    let output = Pipe()
    let processes = [try start(0, "b", output), try start(1, "a", Pipe())]
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    for process in processes { process.waitUntilExit() }
    guard let time = Double(text.trimmingCharacters(in: .whitespacesAndNewlines)) else {
      throw Traffic.Failed("the all-reduce did not end well")
    }
    return time
  }
}
