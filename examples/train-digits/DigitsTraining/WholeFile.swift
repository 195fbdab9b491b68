internal import Foundation

/// Writes files such that nobody ever finds half of one.
enum WholeFile {
  /// Writes beside `path`, then renames.
  static func write(_ bytes: Data, to path: String) throws {
    do {
      try bytes.write(to: URL(fileURLWithPath: path), options: .atomic)
    } catch {
      throw TrainingError("\(path) cannot be written (\(error.localizedDescription))")
    }
  }
}
