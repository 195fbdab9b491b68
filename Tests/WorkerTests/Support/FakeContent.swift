import Foundation
import IorunContent
import IorunContract
import IorunCore

@testable import IorunWorker

/// Content without a head: stages one file, or an error, or nothing for ever; collects by name.
actor FakeContent: LeaseContent {
  var failure: IorunError?
  var hangs = false
  private(set) var staging = 0

  func fail(_ error: IorunError?) { failure = error }
  func hang() { hangs = true }

  func stage(_ workingFolder: Blob, into folder: String) async throws {
    staging += 1
    if hangs { try await Task.sleep(for: .seconds(3600)) }
    if let failure { throw failure }
    try Data("staged\n".utf8).write(to: URL(fileURLWithPath: folder + "/input"))
  }

  func stageImage(_ workingFolder: Blob, into folder: String) async throws {
    throw IorunError(.notFound, "no image came with the job")
  }

  func collect(_ patterns: [String], from folder: String) throws -> OutputList? {
    if let failure { throw failure }
    let size = try patterns.reduce(0) { sum, name in
      sum + (try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)")).count)
    }
    // No list: its size stands for the files.
    return OutputList(
      count: patterns.count, content: Blob(size: Bytes(UInt64(size)), chunks: []))
  }
}
