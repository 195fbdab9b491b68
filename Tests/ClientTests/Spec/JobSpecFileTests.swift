import Foundation
import IorunClient
import IorunCore
import Testing

@Suite struct JobSpecFileTests {
  private func parse(_ yaml: String) throws -> JobSpecFile {
    try JobSpecFile.parse(yaml: yaml, file: "/jobs/digits/job.yaml")
  }

  @Test func `every key is read`() throws {
    let file = try parse(
      """
      name: digits
      command: python train.py --epochs 3
      working_dir: src
      gang:
        ranks: 3
        placement: SITE(20ms)
        resources: {cpus: 0.5, gpus: 2, gpu_model: H100, memory: 4 GiB, disk: 10GB}
      env:
        PORT: 8080
        DEBUG: yes
        EMPTY: ''
      outputs: [model.bin, 'out/*.png']
      timeout: 10m
      retries: 2
      network: gang
      """)
    #expect(file.workingDirectory == "src")
    #expect(
      file.spec
        == JobSpec(
          name: "digits", entrypoint: .command(["/bin/sh", "-c", "python train.py --epochs 3"]),
          gang: .init(
            ranks: 3,
            resources: ResourceSet(
              milliCPUs: 500, gpus: 2, memory: .gibi(4), disk: Bytes(10_000_000_000)),
            gpuModel: "H100", placement: .site(maxRoundTripMilliseconds: 20)),
          environment: ["PORT": "8080", "DEBUG": "yes", "EMPTY": ""],
          outputs: ["model.bin", "out/*.png"], timeoutSeconds: 600, retries: 2, network: .gang))
  }

  @Test func `a command alone is enough, and the folder names the job`() throws {
    let file = try parse("command: 'true'")
    #expect(
      file.spec
        == JobSpec(
          name: "digits", entrypoint: .command(["/bin/sh", "-c", "true"]),
          gang: .init(ranks: 1, resources: ResourceSet(milliCPUs: 1000))))
    #expect(file.workingDirectory == nil)
  }

  @Test func `a command as a list keeps its words as they are written`() throws {
    let file = try parse("command: [python, train.py, --lr, 0.10, --fast, true]")
    #expect(
      file.spec.entrypoint == .command(["python", "train.py", "--lr", "0.10", "--fast", "true"]))
  }

  @Test func `a swift target may have arguments`() throws {
    #expect(try parse("swift: Train").spec.entrypoint == .swift(target: "Train", arguments: []))
    let file = try parse("swift:\n  target: Train\n  arguments: [--epochs, 3]")
    #expect(file.spec.entrypoint == .swift(target: "Train", arguments: ["--epochs", "3"]))
  }

  @Test(
    "a time has one unit or is in seconds",
    arguments: [("90s", 90.0), ("10m", 600), ("2h", 7200), ("1d", 86400), ("1.5", 1.5), ("45", 45)])
  func timeout(text: String, seconds: Double) throws {
    #expect(try parse("command: a\ntimeout: \(text)").spec.timeoutSeconds == seconds)
    #expect(try parse("command: a\nfence: 5s").spec.fenceSeconds == 5)
    #expect(throws: (any Error).self) { try parse("command: a\nfence: 2s") }
  }

  @Test func `a file is loaded under its own name`() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "spec-\(UUID())/demo")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder.deletingLastPathComponent()) }
    let file = folder.appending(path: "job.yaml")
    try Data("\u{FEFF}command: a\r\nretries: 1\r\n".utf8).write(to: file)
    let spec = try JobSpecFile.load(path: file.path).spec
    #expect(spec.name == "demo")
    #expect(spec.retries == 1)
  }

  @Test func `a missing file, a folder and bytes that are no text are told apart`() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "spec-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let binary = folder.appending(path: "binary.yaml")
    try Data([0x63, 0xFF, 0xFE]).write(to: binary)
    let large = folder.appending(path: "large.yaml")
    try Data(repeating: 0x23, count: (1 << 20) + 1).write(to: large)
    func error(_ path: String) throws -> IorunError {
      try #require(throws: IorunError.self) { try JobSpecFile.load(path: path) }
    }
    #expect(try error(folder.path + "/none.yaml").code == .fileMissing)
    #expect(try error(folder.path).message.hasSuffix("this is a folder"))
    #expect(try error(binary.path).message.hasSuffix("this is not UTF-8 text"))
    #expect(try error(large.path).message.contains("larger than 1 MiB"))
    #expect(try error("/dev/zero").message.hasSuffix("not a regular file"))
  }
}
