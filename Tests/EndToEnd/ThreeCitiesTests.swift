import Foundation
import Testing
import WanLink

extension RealProcesses {
  /// A head and three cities, each with two nodes behind a link of its own delay.
  @Suite(
    .enabled(
      if: NetworkNamespaces.areAvailable,
      "\(NetworkNamespaces.unavailableReason ?? ""): SKIPPED"),
    .serialized)
  struct `Among three cities` {
    @Test(.timeLimit(.minutes(4)))
    func `sites are found, and a gang that wants to be near itself lands in one city`() async throws
    {
      try await TestNetwork.with(nodes: 0) { network in
        try await CityWorld.with(network) { world in
          for city in CityWorld.cities {
            for number in 1...2 { try await world.join(city, number) }
          }
          try await eventually("each city is a site", within: .seconds(90)) {
            try await world.sites() == [["1a", "2a"], ["1b", "2b"], ["1c", "2c"]]
          } detail: {
            "\((try? await world.iorun("nodes", "--sites", "--json"))?.output ?? "")"
          }
          let flags = ["--ranks", "2", "--cpus", "1", "--network", "host"]
          let far = try await world.iorun(
            ["submit", "--plan", "--json"] + flags + ["--placement", "SPREAD", "--", "true"])
          #expect((try far.json()["sites"] as? [Int])?.count == 2, "\(far)")
          let near = try await world.iorun(
            ["submit", "--plan", "--json", "--placement", "SITE(10ms)"] + flags + ["--", "true"])
          #expect(near.status == 0, "\(near)")
          #expect((try near.json()["sites"] as? [Int])?.count == 1, "\(near)")
          #expect((try near.json()["offers"] as? [Any])?.isEmpty == false, "\(near)")

          let job = try await world.iorun(
            ["submit", "--json", "--placement", "SITE(10ms)"] + flags + ["--", "sleep", "0"])
          #expect(job.status == 0, "\(job)")
          let last = try #require(job.lines.last)
          let status = try #require(
            try JSONSerialization.jsonObject(with: Data(last.utf8)) as? [String: Any])
          let ranks = status["ranks"] as? [[String: Any]] ?? []
          let nodes = ranks.compactMap { $0["node_name"] as? String }
          #expect(nodes.count == 2 && Set(nodes).count == 2, "\(job)")
          #expect(Set(nodes.map { $0.suffix(1) }).count == 1, "one city: \(nodes)")

          let id = try #require(status["id"] as? String)
          let explained = try await world.iorun(["explain", id, "--json"])
          #expect((try explained.json()["sites"] as? [Int])?.count == 1, "\(explained)")
          let choice = try #require(try explained.json()["choice"] as? [String: Any])
          #expect(choice["optimality_gap"] as? Double == 0, "\(choice)")
          #expect(choice["strategy"] as? String == "SITE(10ms)", "\(choice)")
          #expect((choice["reasons"] as? [String])?.isEmpty == false, "\(choice)")

          // Three ranks do not fit into one city: no offer within 10 ms, and the word of what would do.
          let none = try await world.iorun(
            ["offers", "--ranks", "3", "--cpus", "1", "--placement", "SITE(10ms)", "--", "true"])
          #expect(none.status == 2, "\(none)")
          #expect(none.errors.contains("at most 2 of the 3 ranks within 10 ms"), "\(none)")
          let some = try await world.iorun(
            [
              "offers", "--json", "--ranks", "3", "--cpus", "1", "--placement", "SITE", "--",
              "true",
            ])
          #expect(some.status == 0, "\(some)")
          #expect((try some.json()["offers"] as? [Any])?.isEmpty == false, "\(some)")
        }
      }
    }
  }
}

/// The cities: namespaces `a`, `b` and `c`, each behind a router at the end of a link.
private struct CityWorld {
  static let cities = ["a", "b", "c"]
  private static let delays = ["a": 24, "b": 40, "c": 70]

  let network: TestNetwork
  let namespaces: NetworkNamespaces

  static func with(_ network: TestNetwork, _ body: (CityWorld) async throws -> Void) async throws {
    try await NetworkNamespaces.with("head", "ra", "rb", "rc", "a", "b", "c") { namespaces in
      let world = CityWorld(network: network, namespaces: namespaces)
      // Addresses for documentation (RFC 5737), which count as public.
      try await namespaces.run(in: "head", "ip", "address", "add", "203.0.113.1/32", "dev", "lo")
      try await namespaces.run(in: "head", "sysctl", "-qw", "net.ipv4.ip_forward=1")
      try await world.linked(cities[...]) {
        let address = "203.0.113.1:7070"
        let head = try world.start(
          ["head", "--listen", address, "--verification", "off"], in: "head", state: "s")
        try await head.prints("tickets name \(address)")
        try await body(world)
      }
    }
  }

  /// Links one city after the other, and runs `body` while all links are up.
  private func linked(_ cities: ArraySlice<String>, _ body: () async throws -> Void) async throws {
    guard let city = cities.first else { return try await body() }
    let number = Self.number(city)
    let router = "r" + city
    try await WanLinkProcess.with(
      in: namespaces, from: router, to: city,
      settings: LinkSettings(roundTrip: .milliseconds(Self.delays[city] ?? 0))
    ) {
      let ends = WanLinkProcess.addresses
      try await namespaces.joinByWire(
        "head", address: "10.9.\(number).1/24", to: router, address: "10.9.\(number).2/24")
      let prefix = "198.51.100.\(number * 16)/28"
      try await namespaces.run(in: router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
      try await namespaces.run(in: router, "ip", "route", "add", prefix, "via", ends.b)
      try await namespaces.run(
        in: router, "ip", "route", "add", "default", "via", "10.9.\(number).1")
      try await namespaces.run(in: "head", "ip", "route", "add", prefix, "via", "10.9.\(number).2")
      for node in 1...2 {
        try await namespaces.run(
          in: city, "ip", "address", "add", Self.address(city, node) + "/32", "dev", "lo")
      }
      try await namespaces.run(
        in: city, "ip", "route", "add", "default", "via", ends.a, "src", Self.address(city, 1))
      try await linked(cities.dropFirst(), body)
    }
  }

  private static func number(_ city: String) -> Int { (cities.firstIndex(of: city) ?? 0) + 1 }

  private static func address(_ city: String, _ node: Int) -> String {
    "198.51.100.\(number(city) * 16 + node)"
  }

  func start(
    _ arguments: [String], in role: String, state: String, input: String? = nil
  ) throws -> RunningCommand {
    try RunningCommand(
      "/usr/bin/env", namespaces.command(in: role, [Binaries.iorun] + arguments),
      scratch: network.root + "/commands",
      environment: ["IORUN_STATE_DIR": "\(network.root)/\(state)"], input: input,
      directory: network.root)
  }

  /// Runs iorun beside the head to its end.
  func iorun(_ arguments: [String], within limit: Duration = .seconds(60)) async throws
    -> CommandResult
  {
    try await start(arguments, in: "head", state: "s").finish(within: limit)
  }

  func iorun(_ arguments: String...) async throws -> CommandResult { try await iorun(arguments) }

  /// Joins a node of one core, such as `2b`, and waits until the head counts on it.
  func join(_ city: String, _ number: Int) async throws {
    let name = "\(number)\(city)"
    let ticket = try await iorun("ticket", "create", "--role", "supplier")
    try #require(ticket.status == 0, "\(ticket)")
    let node = try start(
      ["join", "-", "--name", name, "--cpus", "1", "--address", Self.address(city, number)],
      in: city, state: name, input: ticket.lines.last)
    try await eventually("\(name) is there") {
      let nodes = try await iorun("nodes", "--json").json()["nodes"] as? [[String: Any]] ?? []
      return nodes.contains {
        $0["name"] as? String == name && $0["state"] as? String == "alive"
      }
    } detail: {
      node.errors
    }
  }

  /// The names of each site's nodes.
  func sites() async throws -> [[String]] {
    let sites = try await iorun("nodes", "--sites", "--json").json()["sites"]
    return (sites as? [[String: Any]] ?? []).map { site in
      (site["nodes"] as? [[String: Any]] ?? []).compactMap { $0["name"] as? String }.sorted()
    }
    .sorted { $0.first ?? "" < $1.first ?? "" }
  }
}
