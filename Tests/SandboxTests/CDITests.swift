import Foundation
import IorunCore
import SandboxSupport
import Testing

@testable import IorunSandbox

@Suite(.serialized) struct CDITests {
  static let runtime = ["runc", "crun"].compactMap { SandboxLab.find($0) }.first

  @Test(
    "a device of the host's CDI specification is there with its files, and no other",
    .enabled(if: geteuid() == 0 && runtime != nil, "root, or runc and crun, are missing: SKIPPED"))
  func device() async throws {
    let lab = try SandboxLab("cdi")
    defer { lab.remove() }
    let library = lab.folder + "/library"
    try "library".write(toFile: library, atomically: true, encoding: .utf8)
    try FileManager.default.createDirectory(
      atPath: lab.folder + "/cdi", withIntermediateDirectories: true)
    let text = """
      {"cdiVersion":"0.6.0","kind":"iorun.test/gpu",
       "containerEdits":{"env":["GPU_COMMON=1"]},
       "devices":[{"name":"0","containerEdits":{
         "deviceNodes":[{"path":"/dev/gpu0","hostPath":"/dev/zero"}],
         "mounts":[{"hostPath":"\(library)","containerPath":"/gpu-library",
           "options":["ro","bind"]}]}}]}
      """
    try text.write(toFile: lab.folder + "/cdi/test.json", atomically: true, encoding: .utf8)
    // What others may write is not believed.
    try text.replacingOccurrences(of: "iorun.test", with: "evil.test").write(
      toFile: lab.folder + "/cdi/open.json", atomically: true, encoding: .utf8)
    chmod(lab.folder + "/cdi/open.json", 0o666)
    let registry = CDIRegistry(folders: [lab.folder + "/cdi"])
    #expect(registry.files.map(\.kind) == ["iorun.test/gpu"])
    let error = #expect(throws: IorunError.self) { try registry.edits(for: "iorun.test/gpu=1") }
    #expect(error?.code == .notFound)

    let root = try HostRoot(at: lab.folder + "/root")
    // The place for a mount in a read-only root is the image's to have.
    try "".write(toFile: root.folder + "/gpu-library", atomically: true, encoding: .utf8)
    var driver = OCIDriver(program: try #require(Self.runtime), host: lab.host)
    driver.deviceFolders = [lab.folder + "/cdi"]
    let script = "head -c 4 /dev/gpu0 | wc -c; cat /gpu-library; echo; echo $GPU_COMMON; ls /dev"
    var spec = SandboxSpec(
      name: "cdi", root: root.folder, command: ["/bin/sh", "-c", script],
      limits: SandboxLimits(memory: .mebi(64), milliCPUs: 1000),
      environment: ["PATH": "/usr/bin:/bin"], binds: root.binds)
    spec.describedDevices = ["iorun.test/gpu=0"]
    let capture = try SandboxCapture()
    let end = try await driver.launch(spec, streams: capture.streams).wait()
    let lines = try capture.text(limit: 4096).split(separator: "\n").map(String.init)
    #expect(end.cause == .exited(status: 0), "\(lines)")
    #expect(lines.prefix(3) == ["4", "library", "1"], "\(lines)")
    #expect(!lines.contains("kmsg") && !lines.contains("vda"))
  }

  @Test(
    "an image's rank gets its GPU by the host's CDI specification, at paths that the image has not",
    .enabled(if: geteuid() == 0 && runtime != nil, "root, or runc and crun, are missing: SKIPPED"),
    arguments: ["runc", "crun"].compactMap { SandboxLab.find($0) })
  func image(runtime: String) async throws {
    let lab = try SandboxLab("cdi-image")
    defer { lab.remove() }
    for name in ["cdi", "scratch"] {
      try FileManager.default.createDirectory(
        atPath: lab.folder + "/" + name, withIntermediateDirectories: true)
    }
    let library = lab.folder + "/library"
    try "library".write(toFile: library, atomically: true, encoding: .utf8)
    // As nvidia-ctk writes it: a GPU by its index, all of them, and one cut in two.
    func edits(_ nodes: String...) -> String {
      let list = nodes.map { #"{"path":"\#($0)","hostPath":"/dev/zero"}"# }
      return #"{"deviceNodes":[\#(list.joined(separator: ","))]}"#
    }
    let mounts =
      #"[{"hostPath":"\#(library)","containerPath":"/usr/lib/gpu/libcuda.so.1","options":["ro","bind"]}]"#
    let text = """
      {"cdiVersion":"0.6.0","kind":"nvidia.com/gpu","containerEdits":{"mounts":\(mounts)},
       "devices":[{"name":"0","containerEdits":\(edits("/dev/nvidia0"))},
        {"name":"all","containerEdits":\(edits("/dev/nvidia0", "/dev/nvidia1"))}]}
      """
    let folder = lab.folder + "/cdi"
    try text.write(toFile: folder + "/nvidia.json", atomically: true, encoding: .utf8)
    // By the host's nodes, which here are all /dev/zero: only those of the NVIDIA driver count.
    #expect(DescribedDevice.nvidia(node: "/dev/nvidia0", folders: [folder]) == nil)
    let plain = text.replacingOccurrences(of: #","hostPath":"/dev/zero""#, with: "")
    let named = lab.folder + "/named"
    try FileManager.default.createDirectory(atPath: named, withIntermediateDirectories: true)
    try plain.write(toFile: named + "/nvidia.json", atomically: true, encoding: .utf8)
    #expect(
      DescribedDevice.nvidia(node: "/dev/nvidia0", folders: [named]) == "nvidia.com/gpu=0")
    #expect(DescribedDevice.nvidia(node: "/dev/nvidia1", folders: [named]) == nil)

    let root = try HostRoot(at: lab.folder + "/root")
    var driver = OCIDriver(program: runtime, host: lab.host)
    driver.deviceFolders = [folder]
    var spec = SandboxSpec(
      name: "cdi-image", root: root.folder,
      command: ["/bin/sh", "-c", "head -c 4 /dev/nvidia0 | wc -c; cat /opt/gpu/libcuda.so.1"],
      limits: SandboxLimits(memory: .mebi(64), milliCPUs: 1000),
      environment: ["PATH": "/usr/bin:/bin"], scratch: lab.folder + "/scratch", binds: root.binds)
    // A folder of the root that the image has, which is not the sandbox's user's, and one that it has not.
    try text.replacingOccurrences(of: "/usr/lib/gpu", with: "/opt/gpu").write(
      toFile: folder + "/nvidia.json", atomically: true, encoding: .utf8)
    spec.describedDevices = ["nvidia.com/gpu=0"]
    let capture = try SandboxCapture()
    let end = try await driver.launch(spec, streams: capture.streams).wait()
    let lines = try capture.text(limit: 4096).split(separator: "\n").map(String.init)
    #expect(end.cause == .exited(status: 0), "\(end) \(lines)")
    #expect(lines == ["4", "library"], "\(lines)")
  }
}
