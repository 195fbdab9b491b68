/// What is usual between countries, from what devices measured that say where they are: the median over
/// suppliers, of which each has one voice with each other one. So whoever lies about many devices is
/// heard once.
struct CountryTrips: Sendable {
  private struct Key: Hashable {
    let one: String
    let other: String

    init(_ one: String, _ other: String) {
      (self.one, self.other) = one <= other ? (one, other) : (other, one)
    }
  }

  /// The most voices that are kept of two countries, and the most pairs of countries: those of ISO 3166
  /// are fewer than 250, what a claim may say is not.
  private static let (mostVoices, mostPairs) = (16, 40_000)

  private var voices: [Key: [SIMD2<UInt32>: Float]] = [:]

  /// Takes a measurement.
  ///
  /// - Returns: what is usual now between the two countries; `nil` where nothing new is known.
  mutating func usual(
    _ one: String, _ other: String, suppliers: (UInt32, UInt32), milliseconds: Float
  ) -> Float? {
    let key = Key(one, other)
    let voice = SIMD2(min(suppliers.0, suppliers.1), max(suppliers.0, suppliers.1))
    var known = voices[key] ?? [:]
    guard known[voice] != nil || known.count < Self.mostVoices,
      !known.isEmpty || voices.count < Self.mostPairs
    else { return nil }
    known[voice] = milliseconds
    voices[key] = known
    return known.values.sorted()[known.count / 2]
  }
}
