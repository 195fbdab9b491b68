import Foundation
import IorunCore
import IorunSandbox
import Testing

@testable import IorunWorker

@Suite("NVML")
struct NVMLTests {
  /// A library with NVML's functions and two devices. `broken` is C that replaces a part.
  private func library(in folder: TemporaryFolder, defines: [String] = []) throws -> String {
    try folder.write(
      """
      #include <stdio.h>
      struct memory { unsigned long long total, free, used; };
      static int ready;
      int nvmlInit_v2(void) {
      #ifdef NO_DRIVER
        return 9;
      #endif
        ready = 1; return 0;
      }
      int nvmlShutdown(void) { ready = 0; return 0; }
      int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return ready ? 0 : 1; }
      int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
      #ifdef LOST_FIRST
        if (index == 0) return 15;
      #endif
        *device = (void *)(unsigned long)(index + 1); return 0;
      }
      int nvmlDeviceGetName(void *device, char *name, unsigned size) {
        snprintf(name, size, "Test GPU %lu", (unsigned long)device); return 0;
      }
      #ifndef NO_UUID
      int nvmlDeviceGetUUID(void *device, char *uuid, unsigned size) {
        snprintf(uuid, size, "GPU-%lu", (unsigned long)device); return 0;
      }
      #endif
      #ifndef NO_MINOR
      /* The driver met them in the other order. */
      int nvmlDeviceGetMinorNumber(void *device, unsigned *minor) {
        *minor = 8 - (unsigned)(unsigned long)device; return 0;
      }
      #endif
      int nvmlDeviceGetMemoryInfo(void *device, struct memory *memory) {
        memory->total = (unsigned long long)device << 30; return 0;
      }
      int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *degrees) {
        *degrees = 60 + (unsigned long)device; return sensor;
      }
      #ifndef NO_PROCESSES
      struct use { unsigned pid; unsigned long long memory; unsigned gpu, compute; };
      int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, struct use *uses) {
        if (*count < 2) return 7;
        uses[0] = (struct use){10, 1 << 20, 0, 0};
        uses[1] = (struct use){11, ~0ull, 0, 0};
        *count = device == (void *)1 ? 2 : 0; return 0;
      }
      #endif
      """, to: "nvml.c")
    let path = folder.path + "/libfake-nvml.so"
    let compiler = Process()
    compiler.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    compiler.arguments =
      ["cc", "-shared", "-fPIC"] + defines.map { "-D\($0)" } + [
        folder.path + "/nvml.c", "-o", path,
      ]
    try compiler.run()
    compiler.waitUntilExit()
    try #require(compiler.terminationStatus == 0)
    return path
  }

  private let first = NodeFacts.GPU(model: "Test GPU 1", uuid: "GPU-1", memory: .gibi(1))
  private let second = NodeFacts.GPU(model: "Test GPU 2", uuid: "GPU-2", memory: .gibi(2))

  @Test("every device is found with its model, id and memory")
  func found() throws {
    let folder = try TemporaryFolder()
    #expect(NVML(library: try library(in: folder)).gpus() == [first, second])
  }

  @Test("a device that does not answer is left out")
  func lost() throws {
    let folder = try TemporaryFolder()
    #expect(NVML(library: try library(in: folder, defines: ["LOST_FIRST"])).gpus() == [second])
  }

  @Test(
    "a driver that does not start, or a library without a function, means no GPUs",
    arguments: ["NO_DRIVER", "NO_UUID"])
  func broken(define: String) throws {
    let folder = try TemporaryFolder()
    #expect(NVML(library: try library(in: folder, defines: [define])).gpus().isEmpty)
  }

  @Test("a GPU's device file is the one that NVML names, and none where it names none")
  func minorNumbers() throws {
    let folder = try TemporaryFolder()
    let nvml = NVML(library: try library(in: folder))
    #expect(nvml.minorNumbers() == ["GPU-1": 7, "GPU-2": 6])
    var devices = GPUDevices(gpus: nvml.gpus(), minors: nvml.minorNumbers())
    devices.folder = folder.path
    for name in ["nvidiactl", "nvidia0", "nvidia6", "nvidia7"] { try folder.write("", to: name) }
    #expect(try devices.own(0) == folder.path + "/nvidia7")
    #expect(try devices.files([1]) == [folder.path + "/nvidiactl", folder.path + "/nvidia6"])
    #expect(try devices.files([]).isEmpty)
    let other = try TemporaryFolder()
    let old = NVML(library: try library(in: other, defines: ["NO_MINOR"]))
    #expect(old.gpus().count == 2 && old.minorNumbers().isEmpty)
    let unknown = GPUDevices(gpus: old.gpus(), minors: old.minorNumbers())
    #expect(throws: IorunError.self) { try unknown.own(0) }
    #expect(throws: IorunError.self) { try unknown.files([7]) }
  }

  @Test("an image is shown the driver's libraries that the loader knows, and no others")
  func libraries() throws {
    let folder = try TemporaryFolder()
    for name in ["cuda", "ml", "other"] { try folder.write("", to: name) }
    #if arch(arm64)
      let abi = "libc6,AArch64"
    #else
      let abi = "libc6,x86-64"
    #endif
    let found = GPULibraries(
      loaderCache: """
        7 libs found in cache `/etc/ld.so.cache'
        \tlibnvidia-ml.so.1 (\(abi)) => \(folder.path)/ml
        \tlibcuda.so.1 (libc6) => \(folder.path)/other
        \tlibcuda.so.1 (\(abi)) => \(folder.path)/cuda
        \tlibcuda.so.1 (\(abi)) => \(folder.path)/other
        \tlibcudart.so.12 (\(abi)) => \(folder.path)/other
        \tlibnvidia-gone.so.1 (\(abi)) => \(folder.path)/gone
        \tlibc.so.6 (\(abi)) => \(folder.path)/other
        """)
    #expect(
      found.binds == [
        .init(folder.path + "/cuda", at: "/iorun/gpu/libcuda.so.1"),
        .init(folder.path + "/ml", at: "/iorun/gpu/libnvidia-ml.so.1"),
      ])
    #expect(GPULibraries.searchPath(before: "/a:/b") == "/iorun/gpu:/a:/b")
    #expect(GPULibraries.searchPath(before: nil) == "/iorun/gpu")
  }

  @Test("what goes on at each device is told, and what a driver cannot say is left out")
  func states() throws {
    let folder = try TemporaryFolder()
    #expect(
      NVML(library: try library(in: folder)).states() == [
        GPUState(
          index: 0, temperatureCelsius: 61,
          processes: [.init(pid: 10, memory: .mebi(1)), .init(pid: 11, memory: .zero)],
          path: "/dev/nvidia7"),
        GPUState(index: 1, temperatureCelsius: 62, processes: [], path: "/dev/nvidia6"),
      ])
    let old = try TemporaryFolder()
    let states = NVML(library: try library(in: old, defines: ["NO_PROCESSES"])).states()
    #expect(states.map(\.processes) == [[], []])
    // Its place in NVML's order is no device file's number.
    let unknown = try TemporaryFolder()
    let nameless = NVML(library: try library(in: unknown, defines: ["NO_MINOR"])).states()
    #expect(nameless.map(\.path) == [nil, nil] && nameless[0].processes.count == 2)
    #expect(NodeGuard.users(of: nameless).isEmpty)
    #expect(NVML(library: "libno-such-nvml.so.1").states().isEmpty)
  }

  @Test("a machine without the library has no GPUs")
  func missing() { #expect(NVML(library: "libno-such-nvml.so.1").gpus().isEmpty) }
}
