import Foundation
import Glibc
import IorunCore
import Testing

@testable import IorunWorker

@Suite("Metrics for Prometheus")
struct MetricsTests {
  @Test("samples stand below their help and kind, with labels escaped and in order")
  func text() {
    var text = PrometheusText()
    text.add(
      "tasks", "gauge", "Tasks.",
      [
        .init(labels: ["state": "b\"\\\n"], value: 2.5),
        .init(labels: ["state": "a", "job": "x"], value: 1),
      ])
    #expect(
      text.text == """
        # HELP tasks Tasks.
        # TYPE tasks gauge
        tasks{job="x",state="a"} 1
        tasks{state="b\\"\\\\\\n"} 2.5

        """)
  }

  @Test("counters add up, gauges are replaced, histograms have a sum and a count")
  func userMetrics() throws {
    var metrics = UserMetrics()
    for value in [1.0, 2] {
      try metrics.take(.init(name: "c", kind: "counter", value: value, tags: ["a": "b"]))
      try metrics.take(.init(name: "g", kind: "gauge", value: value, tags: nil))
      try metrics.take(.init(name: "h", kind: "histogram", value: value, tags: nil))
    }
    var text = PrometheusText()
    metrics.write(to: &text)
    for line in [
      "iorun_user_c{a=\"b\"} 3", "iorun_user_g 2", "iorun_user_h_sum 3", "iorun_user_h_count 2",
    ] { #expect(text.text.contains(line + "\n")) }
  }

  @Test("what is no metric is refused, and too many series are counted, not kept")
  func bounds() throws {
    var metrics = UserMetrics()
    for (name, kind, value) in [("", "gauge", 1.0), ("x", "other", 1), ("x", "gauge", .infinity)] {
      #expect(throws: IorunError.self) {
        try metrics.take(.init(name: name, kind: kind, value: value, tags: nil))
      }
    }
    for number in 0..<(UserMetrics.limit + 5) {
      try metrics.take(.init(name: "m\(number)", kind: "gauge", value: 1, tags: nil))
    }
    #expect(metrics.dropped == 5)
  }

  @Test("only GET /metrics is answered with metrics")
  func answers() {
    func status(_ request: String) -> Substring {
      MetricsServer.answer(to: request + "\r\n\r\n") { "m 1\n" }.prefix { $0 != "\r\n" }
    }
    #expect(status("GET /metrics HTTP/1.1") == "HTTP/1.1 200 OK")
    #expect(status("GET /metrics?x=1 HTTP/1.1") == "HTTP/1.1 200 OK")
    #expect(status("GET / HTTP/1.1") == "HTTP/1.1 404 Not Found")
    #expect(status("POST /metrics HTTP/1.1") == "HTTP/1.1 405 Method Not Allowed")
    #expect(status("") == "HTTP/1.1 405 Method Not Allowed")
  }

  @Test("a scrape over a socket gets the text")
  func scrape() async throws {
    let server = try MetricsServer(address: "127.0.0.1:0") { "m 1\n" }
    defer { server.stop() }
    let port = server.port
    let answer = await Task.detached { Self.ask("GET /metrics HTTP/1.1\r\n\r\n", port) }.value
    #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
    #expect(answer.hasSuffix("\r\n\r\nm 1\n"))
  }

  private static func ask(_ request: String, _ port: UInt16) -> String {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr)
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    let connected = withUnsafePointer(to: address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard connected == 0 else { return "" }
    let bytes = Array(request.utf8)
    send(descriptor, bytes, bytes.count, 0)
    var answer: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while case let count = recv(descriptor, &buffer, buffer.count, 0), count > 0 {
      answer += buffer.prefix(count)
    }
    return String(decoding: answer, as: UTF8.self)
  }
}
