internal import Foundation
internal import IorunCore

/// What one end of a stream says to the other. `StreamPort`'s actors carry it across the mesh; tests
/// have their own.
protocol StreamOutlet: Sendable {
  /// Bytes from `offset` on. Returns once the other side has them, in memory.
  func send(_ bytes: Data, of stream: UInt64, at offset: UInt64, isLast: Bool) async throws
  /// The other side may send up to `limit`.
  func allow(_ limit: UInt64, of stream: UInt64) async throws
  /// The stream is broken off, for the reason given.
  func reset(_ stream: UInt64, reason: IorunError) async throws
  /// A sign of life; returns those of `streams` that the other side does not know.
  func unknown(of streams: [UInt64]) async throws -> [UInt64]
}
