internal import Foundation
internal import IorunCore
public import IorunSandbox

extension NodeProfile {
  /// As a file has it: what is left out is the standard's.
  private struct File: Decodable {
    var memory_bytes: UInt64?
    var disk_bytes: UInt64?
    var download_megabits_per_second: Double?
    var upload_megabits_per_second: Double?
    var round_trip_milliseconds: Double?

    static let keys: Set<String> = [
      "memory_bytes", "disk_bytes", "download_megabits_per_second", "upload_megabits_per_second",
      "round_trip_milliseconds",
    ]
  }

  /// Reads a profile: a JSON object with some of `memory_bytes`, `disk_bytes`,
  /// `download_megabits_per_second`, `upload_megabits_per_second` and `round_trip_milliseconds`. Blocks.
  ///
  /// - Throws: `fileMissing`; `specInvalid` for another key, or a number that is none.
  public init(file path: String) throws {
    guard let handle = FileHandle(forReadingAtPath: path) else {
      throw IorunError(
        .fileMissing, "there is no profile '\(path)'",
        remedy: "Check the path; --profile none checks nothing")
    }
    defer { try? handle.close() }
    func refusal(_ cause: (any Error)? = nil) -> IorunError {
      IorunError(
        .specInvalid, "'\(path)' is no profile",
        remedy: "Write a JSON object with \(File.keys.sorted().joined(separator: ", "))",
        cause: cause)
    }
    let file: File
    do {
      let data = try handle.read(upToCount: 64 << 10) ?? Data()
      let keys = (try JSONSerialization.jsonObject(with: data) as? [String: Any])?.keys
      guard let keys, File.keys.isSuperset(of: keys) else { throw refusal() }
      file = try JSONDecoder().decode(File.self, from: data)
    } catch let error as IorunError {
      throw error
    } catch {
      throw refusal(error)
    }
    var profile = NodeProfile.standard
    if let bytes = file.memory_bytes { profile.memory = Bytes(bytes) }
    if let bytes = file.disk_bytes { profile.disk = Bytes(bytes) }
    let rates = [file.download_megabits_per_second, file.upload_megabits_per_second]
    let all = (rates + [file.round_trip_milliseconds]).compactMap { $0 }
    guard all.allSatisfy({ (0...1e9).contains($0) }) else { throw refusal() }
    if let rate = rates[0] { profile.downloadBitsPerSecond = UInt64(rate * 1e6) }
    if let rate = rates[1] { profile.uploadBitsPerSecond = UInt64(rate * 1e6) }
    if let time = file.round_trip_milliseconds {
      profile.roundTrip = .microseconds(Int64(time * 1000))
    }
    self = profile
  }
}
