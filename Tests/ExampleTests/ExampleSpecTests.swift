import Foundation
import IorunClient
import IorunCore
import Testing

@Suite("the examples' specs")
struct ExampleSpecTests {
  @Test("train-digits asks for three ranks of the Swift program and keeps what it writes")
  func trainDigits() throws {
    let file = try JobSpecFile.load(path: ExampleFolder.path("train-digits/job.yaml"))
    #expect(file.spec.entrypoint == .swift(target: "train-digits", arguments: []))
    #expect(file.spec.gang.ranks == 3)
    #expect(file.spec.gang.resources.milliCPUs == 500)
    #expect(file.spec.outputs == ["model.bin", "metrics.json"])
    #expect(Self.exists("digits.csv", below: file, of: "train-digits"))
  }

  @Test("pytorch-ddp asks for three ranks, and its folder holds the program and the digits")
  func pytorch() throws {
    let file = try JobSpecFile.load(path: ExampleFolder.path("pytorch-ddp/job.yaml"))
    #expect(
      file.spec.entrypoint
        == .command(["/bin/sh", "-c", "exec ${PYTHON:-python3} pytorch-ddp/train.py"]))
    #expect(file.spec.gang.ranks == 3)
    #expect(file.spec.outputs == ["model.pt"])
    #expect(Self.exists("pytorch-ddp/train.py", below: file, of: "pytorch-ddp"))
    #expect(Self.exists("train-digits/digits.csv", below: file, of: "pytorch-ddp"))
  }

  /// Whether a rank of the example finds `path` in its working folder.
  private static func exists(_ path: String, below file: JobSpecFile, of example: String) -> Bool {
    let folder = URL(fileURLWithPath: ExampleFolder.path(example))
      .appendingPathComponent(file.workingDirectory ?? "nowhere")
    return FileManager.default.fileExists(atPath: folder.appendingPathComponent(path).path)
  }
}
