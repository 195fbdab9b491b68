/// How much of a transfer is under way at once.
enum TransferLimits {
  /// The most chunks in flight: with 256 KiB each, 2 MiB fill 160 Mbit/s over a round trip of 100 ms.
  static let chunksInFlight = 8
  /// Digests in one question, as `ContentService.missing` allows.
  static let digestsInQuestion = 4096
}
