import Foundation
import Glibc
import IorunCore

/// The device files of a machine's GPUs.
struct GPUDevices: Sendable {
  /// The GPUs, in the order of the node's facts.
  let gpus: [NodeFacts.GPU]
  /// The minor numbers of their files, by UUID.
  let minors: [String: Int]
  /// Where device files are.
  var folder = "/dev"

  /// The files that every user of a GPU opens.
  static let shared = ["nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"]

  /// The file of one GPU alone, by its place in ``gpus``.
  ///
  /// - Throws: `gpuMissing` where its number is not known: another GPU's would be as bad as none.
  func own(_ index: Int) throws -> String {
    guard gpus.indices.contains(index), let minor = minors[gpus[index].uuid] else {
      let name = gpus.indices.contains(index) ? gpus[index].uuid : "\(index)"
      throw IorunError(
        .gpuMissing, "the device file of GPU \(name) is not known",
        remedy: "Install the driver's libnvidia-ml.so.1, or offer the node without its GPUs")
    }
    return "\(folder)/nvidia\(minor)"
  }

  /// The files that a user of these GPUs opens, as far as the machine has them; none for no GPUs.
  ///
  /// - Throws: as `own`.
  func files(_ indices: [Int]) throws -> [String] {
    guard !indices.isEmpty else { return [] }
    return (Self.shared.map { "\(folder)/\($0)" } + (try indices.map(own)))
      .filter { access($0, F_OK) == 0 }
  }
}
