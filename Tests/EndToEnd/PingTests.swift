import Testing

extension RealProcesses {
  /// `iorun ping NODE`.
  @Suite(.serialized)
  struct `A ping` {
    @Test(.timeLimit(.minutes(2)))
    func `tells each word's way through the mesh, and a summary`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        let told = try await network.iorun("ping", "node-1")
        try #require(told.status == 0, "\(told)")
        let words = told.lines.dropLast().compactMap {
          $0.wholeMatch(
            of: /node-1: word (\d+) in (\d+\.\d) ms, head to node (\d+\.\d) ms/)?.output
        }
        #expect(words.map(\.1) == ["1", "2", "3", "4", "5"], "\(told)")
        // The head's share is a part of the whole way; both are rounded to a tenth.
        for word in words {
          let (whole, share) = (Double(word.2) ?? -1, Double(word.3) ?? 1e9)
          #expect(whole > 0 && share <= whole + 0.1, "\(told)")
        }
        let wholes = words.compactMap { Double($0.2) }.sorted()
        let summary = try #require(told.lines.last)
        #expect(
          summary == "through the head: min \(wholes[0]), median \(wholes[2]), max \(wholes[4]) ms",
          "\(told)")

        let json = try await network.iorun("ping", "node-1", "--count", "3", "--json").json()
        #expect(json["name"] as? String == "node-1" && json["way"] as? String == "head")
        let trips = try #require(json["round_trip_milliseconds"] as? [String: Double])
        let (low, middle, high) = (trips["min"] ?? 0, trips["median"] ?? 0, trips["max"] ?? 0)
        #expect(0 < low && low <= middle && middle <= high, "\(json)")

        let none = try await network.iorun("ping", "nobody")
        #expect(none.status != 0 && none.errors.contains("there is no node 'nobody'"), "\(none)")
      }
    }
  }
}
