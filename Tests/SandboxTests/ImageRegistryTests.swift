import CShim
import Foundation
import IorunCore
import IorunCrypto
import SandboxSupport
import Testing

@testable import IorunSandbox

/// A registry on this machine that answers what it is told, and asks for a token.
final class FakeRegistry: Sendable {
  let port: UInt16
  private let listener: Int32

  /// Serves `blobs` by their digests, at both kinds of paths; `false` ones under a digest that is not
  /// theirs.
  init(_ blobs: [String: [UInt8]]) throws {
    var port: UInt16 = 0
    let listener = iorun_local_listen("127.0.0.1", 0, &port)
    guard listener >= 0 else { throw IorunError(.sandboxFailed, "no listener") }
    (self.port, self.listener) = (port, listener)
    let thread = Thread { [port] in
      var wait = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
      while poll(&wait, 1, -1) >= 0, wait.revents & Int16(POLLHUP | POLLNVAL | POLLERR) == 0 {
        let socket = iorun_local_accept(listener)
        guard socket >= 0 else { continue }
        var head: [UInt8] = []
        var ready = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        while !String(decoding: head, as: UTF8.self).contains("\r\n\r\n"),
          poll(&ready, 1, 5000) > 0,
          ResolverSocket.read(socket, into: &head)
        {}
        let answer = Self.answer(String(decoding: head, as: UTF8.self), port, blobs)
        var rest = answer[...]
        ready.events = Int16(POLLOUT)
        while !rest.isEmpty, poll(&ready, 1, 5000) > 0 {
          let count = rest.withUnsafeBytes {
            send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
          }
          guard count > 0 else { break }
          rest = rest.dropFirst(count)
        }
        close(socket)
      }
    }
    thread.start()
  }

  func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

  private static func answer(_ head: String, _ port: UInt16, _ blobs: [String: [UInt8]]) -> [UInt8]
  {
    let words = head.split(separator: " ")
    let path = words.count > 1 ? String(words[1]) : ""
    func reply(_ status: String, _ headers: String = "", _ body: [UInt8] = []) -> [UInt8] {
      Array(
        "HTTP/1.1 \(status)\r\nContent-Length: \(body.count)\r\nConnection: close\r\n\(headers)\r\n"
          .utf8) + body
    }
    if path.hasPrefix("/token?") {
      let isRight = path.contains("scope=repository:team/tool:pull")
      return isRight ? reply("200 OK", "", Array(#"{"token":"sesame"}"#.utf8)) : reply("400 No")
    }
    let digest = path.split(separator: ":").last.map(String.init) ?? ""
    if path.hasPrefix("/cdn/") {
      return blobs[digest].map { reply("200 OK", "", $0) } ?? reply("404 Not Found")
    }
    guard head.contains("Authorization: Bearer sesame") else {
      return reply(
        "401 Unauthorized",
        "WWW-Authenticate: Bearer realm=\"http://127.0.0.1:\(port)/token\",service=\"fake\"\r\n")
    }
    if path.contains("/blobs/") { return reply("307 There", "Location: /cdn/sha256:\(digest)\r\n") }
    return blobs[digest].map { reply("200 OK", "", $0) } ?? reply("404 Not Found")
  }
}

@Suite(.serialized) struct ImageRegistryTests {
  static let hasCurl = SandboxLab.find("curl") != nil

  private func hex(_ bytes: [UInt8]) -> String { SHA256.digest(of: bytes).description }

  @Test(
    "an image is fetched by its digest and unpacked, and a registry that lies is refused",
    .enabled(if: hasCurl, "curl is missing: SKIPPED"))
  func fetch() throws {
    let base = NSTemporaryDirectory() + "iorun-registry-\(getpid())"
    try FileManager.default.createDirectory(atPath: base, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: base) }
    // nobody must be able to pass.
    chmod(base, 0o755)
    var tar = Tar()
    tar.add("usr", type: "5", mode: 0o755)
    tar.add("usr/tool", content: Array("tool".utf8), mode: 0o755)
    let layer = tar.archive
    let configuration = Array(
      #"{"config":{"Cmd":["/usr/tool"]},"rootfs":{"diff_ids":["sha256:\#(hex(layer))"]}}"#.utf8)
    let manifest = Array(
      """
      {"config":{"digest":"sha256:\(hex(configuration))","size":\(configuration.count)},"layers":[
       {"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:\(hex(layer))",
        "size":\(layer.count)}]}
      """.utf8)
    let index = Array(
      """
      {"manifests":[{"digest":"sha256:\(String(repeating: "0", count: 64))","size":1,
        "platform":{"architecture":"s390x"}},
       {"digest":"sha256:\(hex(manifest))","size":\(manifest.count)}]}
      """.utf8)
    let all = [layer, configuration, manifest, index]
    let good = Dictionary(uniqueKeysWithValues: all.map { (hex($0), $0) })
    func fetch(
      _ blobs: [String: [UInt8]], _ digest: String, to name: String,
      limits: ImageRegistry.Limits = .init()
    ) throws {
      let server = try FakeRegistry(blobs)
      defer { server.stop() }
      try ImageRegistry(network: nil, allowsPlainHTTP: true).fetch(
        ImageReference("127.0.0.1:\(server.port)/team/tool@sha256:\(digest)"),
        into: base + "/" + name, limits: limits)
    }
    for (name, root) in [("plain", manifest), ("index", index)] {
      try fetch(good, hex(root), to: name)
      let defaults = try ImageLayout(folder: base + "/" + name)
        .unpack(nil, into: base + "/root-" + name, temporary: base + "/tmp")
      #expect(defaults.command == ["/usr/tool"])
      #expect(access(base + "/root-\(name)/usr/tool", F_OK) == 0)
    }
    let missing = #expect(throws: IorunError.self) {
      try fetch(good, String(repeating: "b", count: 64), to: "missing")
    }
    #expect(missing?.code == .notFound)
    // Another content, a longer one, and one that is too large for the limit.
    for (index, bytes) in all.dropLast().enumerated() {
      for bad in [bytes.dropLast() + [1], bytes + [0]] {
        var blobs = good
        blobs[hex(bytes)] = Array(bad)
        let error = #expect(throws: IorunError.self) {
          try fetch(blobs, hex(manifest), to: "bad-\(index)-\(bad.count)")
        }
        #expect(error?.code == .imageInvalid)
        #expect(access(base + "/bad-\(index)-\(bad.count)/index.json", F_OK) != 0)
      }
    }
    let large = #expect(throws: IorunError.self) {
      try fetch(good, hex(manifest), to: "large", limits: .init(bytes: Bytes(100)))
    }
    #expect(large?.code == .imageInvalid)
  }
}
