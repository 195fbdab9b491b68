import CShim
import Foundation
import IorunCore
import SandboxSupport
import TestSupport
import Testing

@testable import IorunSandbox

@Suite(.serialized) struct ResolverTests {
  private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

  private func query(_ name: String, type: UInt16, id: UInt16 = 7) -> [UInt8] {
    [UInt8(id >> 8), UInt8(id & 0xff), 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
      + FakeNameServer.wire(name) + [UInt8(type >> 8), UInt8(type & 0xff), 0, 1]
  }

  // Asks the sandbox's resolver from inside; the whole answer.
  private func ask(
    _ name: String, type: UInt16 = 1, stream: Bool = false, in space: Int32
  ) throws -> [UInt8] {
    let place = SocketAddress(EgressResolver.address, port: EgressResolver.port)
    let message = query(name, type: type)
    let socket =
      stream
      ? iorun_tcp_begin_connect(space, place.address, 4, place.port)
      : ResolverSocket.connected(to: place, in: space)
    try #require(socket >= 0)
    defer { close(socket) }
    var wait = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
    try #require(poll(&wait, 1, 30_000) == 1)
    let framed = stream ? [UInt8(message.count >> 8), UInt8(message.count & 0xff)] : []
    send(socket, framed + message, framed.count + message.count, 0)
    var heard: [UInt8] = []
    wait.events = Int16(POLLIN)
    while poll(&wait, 1, 30_000) == 1 {
      if stream {
        let isOpen = ResolverSocket.read(socket, into: &heard)
        if let message = ResolverSocket.message(in: heard) { return message }
        if !isOpen { break }
      } else {
        heard = [UInt8](repeating: 0, count: 2000)
        let count = recv(socket, &heard, heard.count, 0)
        try #require(count > 0)
        return Array(heard.prefix(count))
      }
    }
    Issue.record("no answer for \(name)")
    return []
  }

  private func code(_ answer: [UInt8]) -> UInt8? { answer.count < 4 ? nil : answer[3] & 0xf }

  @Test(
    "names lead to public addresses, and never to private ones, whenever asked",
    .enabled(if: EgressLab.canRun, EgressTests.reason))
  func rebinding() throws {
    let lab = try EgressLab(others: ["9.9.9.9", "1.1.1.1"])
    let server = try FakeNameServer(
      at: try address("9.9.9.9"), in: lab.world,
      answers: [
        "good.example": ["1.1.1.1"], "six.example": ["2606:4700::1111"],
        // First a good address, then the one that is meant.
        "rebind.example": ["1.1.1.1", "169.254.169.254"], "lan.example": ["192.168.1.1"],
        "me.example": ["127.0.0.1"], "mapped.example": ["64:ff9b::a00:1"],
      ])
    defer { server.stop() }
    let router = try EgressRouter(
      outside: ["uplink"],
      resolvers: [
        // Nobody listens there: the next is asked.
        SocketAddress(try address("1.1.1.1"), port: 53),
        SocketAddress(try address("9.9.9.9"), port: 53),
      ], network: lab.host)
    defer { router.close() }
    let network = try EgressNetwork(.internet(members: []), router: router)
    defer { network.close() }
    #expect(network.resolverFile.hasPrefix("nameserver 127.0.0.53\n"))
    let space = network.namespace
    for stream in [false, true] {
      let good = try ask("good.example", stream: stream, in: space)
      #expect(code(good) == 0 && Array(good.suffix(4)) == [1, 1, 1, 1], "\(good)")
      #expect(Array(good.prefix(2)) == [0, 7])
      for name in ["lan.example", "me.example"] {
        let answer = try ask(name, stream: stream, in: space)
        #expect(code(answer) == DNSReplyCode.refused.rawValue, "\(name)")
        #expect(answer.count == query(name, type: 1).count, "no record is left: \(answer)")
      }
    }
    let six = try ask("six.example", type: 28, in: space)
    #expect(code(six) == 0 && six.count > 16)
    #expect(code(try ask("mapped.example", type: 28, in: space)) == 5)
    let first = try ask("rebind.example", in: space)
    #expect(Array(first.suffix(4)) == [1, 1, 1, 1])
    #expect(code(try ask("rebind.example", in: space)) == 5)
    // Hints of addresses in other kinds of records are not asked for at all.
    let service = try ask("good.example", type: 65, in: space)
    #expect(code(service) == 0 && service[7] == 0)
  }

  @Test(
    "a program in a sandbox looks a name up and connects, and gets no further",
    .enabled(
      if: EgressLab.canRun && SandboxLab.find("bwrap") != nil && SandboxLab.find("getent") != nil,
      "root, nft, ip, tc, bwrap or getent is missing: SKIPPED"))
  func sandbox() async throws {
    let lab = try EgressLab(others: ["9.9.9.9", "1.1.1.1", "10.9.9.9"])
    let server = try FakeNameServer(
      at: try address("9.9.9.9"), in: lab.world,
      answers: ["good.example": ["1.1.1.1"], "evil.example": ["10.9.9.9"]])
    defer { server.stop() }
    let router = try EgressRouter(
      outside: ["uplink"], resolvers: [SocketAddress(try address("9.9.9.9"), port: 53)],
      network: lab.host)
    defer { router.close() }
    let network = try EgressNetwork(.internet(members: []), router: router)
    defer { network.close() }
    let boxes = try SandboxLab("egress")
    defer { boxes.remove() }
    let root = try HostRoot(at: boxes.folder + "/root")
    let files = boxes.folder + "/etc"
    try FileManager.default.createDirectory(atPath: files, withIntermediateDirectories: true)
    try FileManager.default.createDirectory(
      atPath: root.folder + "/etc", withIntermediateDirectories: true)
    var binds = root.binds
    for (name, text) in [
      "resolv.conf": network.resolverFile, "nsswitch.conf": "hosts: dns\n",
    ] {
      try text.write(toFile: files + "/" + name, atomically: true, encoding: .utf8)
      try "".write(toFile: root.folder + "/etc/" + name, atomically: true, encoding: .utf8)
      binds.append(.init(files + "/" + name, at: "/etc/" + name))
    }
    let script = """
      getent ahostsv4 good.example | head -1 | cut -d' ' -f1
      getent ahostsv4 evil.example || echo no
      """
    let spec = SandboxSpec(
      name: "egress", root: root.folder, command: ["/bin/sh", "-c", script],
      limits: SandboxLimits(memory: .mebi(64), milliCPUs: 1000),
      environment: ["PATH": "/usr/bin:/bin"], binds: binds,
      network: .namespace(network.namespace))
    let driver = BubblewrapDriver(
      program: try #require(SandboxLab.find("bwrap")), host: boxes.host)
    let capture = try SandboxCapture()
    let end = try await driver.launch(spec, streams: capture.streams).wait()
    let text = try capture.text(limit: 4096)
    #expect(end.cause == .exited(status: 0), "\(text)")
    #expect(text == "1.1.1.1\nno\n")
  }

  @Test("damaged questions and answers are no harm", arguments: [1, 2, 3] as [UInt64])
  func damaged(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let bytes = query("a.good.example", type: 1)
    let question = try #require(DNSQuestion(bytes))
    #expect(question.query(id: 7) == bytes)
    var answer = question.reply(.fine)
    answer[7] = 2
    answer += [0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 14]
    answer += [0xc0, 14, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 1]
    let policy = EgressPolicy.internet(members: [])
    func check(_ bytes: [UInt8]) -> DNSAnswer {
      DNSAnswer.check(bytes, to: question, id: 7) { policy.allows($0) }
    }
    #expect(check(answer) == .refused)
    var good = answer
    good.replaceSubrange((good.count - 4)..., with: [1, 1, 1, 1])
    #expect(check(good) == .good)
    #expect(check(good + [0]) == .damaged)
    for count in 0..<good.count { #expect(check(Array(good.prefix(count))) == .damaged) }
    for _ in 0..<3000 {
      var bad = answer
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        bad[Int.random(in: 0..<bad.count, using: &generator)] = UInt8.random(
          in: 0 ... .max, using: &generator)
      }
      // As long as the address stands in an answer that is taken, it is not passed on.
      if Array(bad.suffix(16)) == Array(answer.suffix(16)) { #expect(check(bad) != .good) }
      _ = DNSQuestion(Array(bad.prefix(Int.random(in: 0...bad.count, using: &generator))))
    }
  }
}
