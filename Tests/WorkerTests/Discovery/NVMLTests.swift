import Foundation
import IorunCore
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
      int nvmlDeviceGetMemoryInfo(void *device, struct memory *memory) {
        memory->total = (unsigned long long)device << 30; return 0;
      }
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

  @Test("a machine without the library has no GPUs")
  func missing() { #expect(NVML(library: "libno-such-nvml.so.1").gpus().isEmpty) }
}
