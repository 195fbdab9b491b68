internal import ArgumentParser
internal import IorunClient
internal import IorunCore
internal import IorunCrypto
internal import IorunPoW

/// `iorun pow device`: the name of a device, and whether its kernels compute rightly.
struct PoWDeviceCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "device",
    abstract: "Print a device's public key, by which challenges name it, and test its kernels.",
    discussion: """
      --self-test runs the known answers of every CPU kernel, and compares every GPU's kernels with \
      the CPU's bit by bit: small puzzles are solved by both. A GPU needs its NVIDIA driver, and \
      nothing of CUDA besides; one that another process computes on is left alone (IOR-1812).
      """)

  @Option(help: "The file of the device's secret key; made where none is.", completion: .file())
  var key: String?

  @Flag(name: .customLong("self-test"), help: "Test the kernels of the CPU and of every GPU.")
  var selfTest = false

  @Option(help: "Test this GPU only; without it a machine that has none passes.")
  var gpu: Int?

  @Flag(help: "Print one JSON object (docs/JSON.md).")
  var json = false

  private struct View: Encodable {
    struct GPU: Encodable {
      var description: GPUDevice.Description
      var checks: [GPUSelfTest.Check]
    }
    var device: DeviceID?
    var kernels: [Kernel]?
    var gpus: [GPU]?
    var gpuError: IorunError?

    private enum CodingKeys: String, CodingKey {
      case device, kernels, gpus
      case gpuError = "gpu_error"
    }
  }

  func validate() throws {
    guard key != nil || selfTest else {
      throw ValidationError("Give --key FILE, --self-test or both.")
    }
  }

  func run() async throws {
    var view = View()
    if let key {
      view.device = DeviceID(try SigningKey(rawRepresentation: PoWFiles.secret(key)))
    }
    if selfTest { try await test(&view) }
    Output.write(json ? try JSONOutput.line(view) : text(view))
    let isSame = view.gpus?.allSatisfy { $0.checks.allSatisfy(\.isSame) } ?? true
    guard isSame else {
      throw IorunError(
        .kernelBroken, "a GPU gives other results than the CPU",
        remedy: "Leave that GPU out: it, its memory or its driver computes wrongly")
    }
  }

  private func test(_ view: inout View) async throws {
    try await Blocking.run { try KernelSelfTest.run() }
    view.kernels = Kernel.allCases.filter(\.isAvailable)
    let found: [GPUDevice.Description]
    do {
      found = try await Blocking.run { try GPUDevice.all() }
    } catch let error as IorunError where error.code == .gpuMissing && gpu == nil {
      view.gpuError = error
      return
    }
    view.gpus = []
    for description in found where gpu == nil || gpu == description.index {
      let device = try await Blocking.run { try GPUDevice(index: description.index) }
      let checks = try await GPUSelfTest.run(device)
      view.gpus?.append(View.GPU(description: description, checks: checks))
    }
    if let gpu, view.gpus?.isEmpty ?? true {
      throw IorunError(
        .gpuMissing, "this machine has \(found.count) GPUs, and no GPU \(gpu)",
        remedy: "Number them from 0, as nvidia-smi does")
    }
  }

  private func text(_ view: View) -> String {
    var lines: [String] = []
    if let device = view.device { lines.append("\(device)") }
    if let kernels = view.kernels {
      lines.append("CPU: \(kernels.map(\.rawValue).joined(separator: ", ")): right")
    }
    if let error = view.gpuError { lines.append("GPU: not tested: \(error.message)") }
    for gpu in view.gpus ?? [] {
      let about = gpu.description
      lines.append(
        "GPU \(about.index): \(about.name), compute \(about.compute), "
          + "\(about.multiprocessors) multiprocessors, \(Bytes(about.memoryBytes))")
      for check in gpu.checks {
        lines.append("  \(check.name): \(check.isSame ? "the CPU's bits" : "WRONG")")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }
}
