import ArgumentParser
import CPath
import CPathBench
import Foundation
import IorunCore
import IorunPath
import Synchronization

/// The relay beside what the kernel does by itself: bytes that one core moves, and the time that a
/// relay on the way adds. CPU time is the relay's own thread's, so that a busy machine changes little.
@main
struct PathBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "iorun-path-bench",
    abstract: "Measure a relay beside a splice of TCP, and a stream over datagrams beside TCP.")

  @Option(help: "Seconds for each measurement.")
  var seconds = 3.0

  @Option(help: "Bytes of a datagram, with the relay's header.")
  var size = 1420

  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    let splice = try Splice.measure(seconds: seconds)
    let world = try RelayWorld()
    let relay = try world.throughput(seconds: seconds, size: size)
    let trips = world.roundTrips()
    let session = try SessionStream.measure(seconds: seconds)
    let share = session.carriedBytesPerSecond / session.plainBytesPerSecond
    let ratio = relay.bytesPerCPUSecond / splice.bytesPerCPUSecond
    if json {
      print(
        """
        {"splice_bytes_per_cpu_second":\(Int(splice.bytesPerCPUSecond)),\
        "relay_bytes_per_cpu_second":\(Int(relay.bytesPerCPUSecond)),"relay_to_splice":\(ratio),\
        "datagram_bytes":\(size),"direct_round_trip_microseconds":\(trips.direct),\
        "relay_round_trip_microseconds":\(trips.relay),\
        "tcp_bytes_per_second":\(Int(session.plainBytesPerSecond)),\
        "session_bytes_per_second":\(Int(session.carriedBytesPerSecond)),\
        "session_to_tcp":\(share)}
        """)
    } else {
      print("splice of two TCP connections  \(gigabytes(splice)) GB per second of CPU")
      print("relay, datagrams of \(size) B    \(gigabytes(relay)) GB per second of CPU")
      print("relay / splice                 \((ratio * 100).rounded() / 100)")
      print("round trip direct              \(trips.direct.rounded()) us (median)")
      print("round trip by the relay        \(trips.relay.rounded()) us (median)")
      print("a plain TCP stream             \(megabytes(session.plainBytesPerSecond)) MB/s")
      print("a session's over datagrams     \(megabytes(session.carriedBytesPerSecond)) MB/s")
      print("session / TCP                  \((share * 1000).rounded() / 1000)")
    }
  }

  private func megabytes(_ bytesPerSecond: Double) -> Int { Int((bytesPerSecond / 1e6).rounded()) }

  private func gigabytes(_ flow: Flow) -> Double {
    (flow.bytesPerCPUSecond / 1e7).rounded() / 100
  }
}

/// Bytes that a thread moved, and the CPU time that it took for them.
struct Flow {
  var bytes: Int64
  var cpuNanoseconds: Int64

  var bytesPerCPUSecond: Double { Double(bytes) / max(Double(cpuNanoseconds) / 1e9, 1e-9) }
}

/// A splice of two TCP connections through a pipe: the least that a relay of streams can do.
enum Splice {
  static func measure(seconds: Double) throws -> Flow {
    var (near, far): ([Int32], [Int32]) = ([0, 0], [0, 0])
    guard pathbench_tcp_pair(&near) == 0, pathbench_tcp_pair(&far) == 0 else {
      throw ValidationError("no TCP connections on loopback")
    }
    for each in [near[1], far[0]] { _ = fcntl(each, F_SETFL, O_NONBLOCK) }
    let cpu = Mutex<Int64>(0)
    let done = DispatchSemaphore(value: 0)
    let (one, other) = (near[1], far[0])
    Thread {
      pathbench_name_thread("bench-splice")
      _ = iorun_splice(one, other, -1)
      cpu.withLock { $0 = pathbench_thread_ns("bench-splice") }
      done.signal()
    }.start()
    let writer = near[0]
    Thread { _ = pathbench_write(writer, seconds) }.start()
    let bytes = pathbench_read(far[1])
    shutdown(far[1], Int32(SHUT_WR))
    _ = done.wait(timeout: .now() + 10)
    return Flow(bytes: bytes, cpuNanoseconds: cpu.withLock { $0 })
  }
}

/// A relay with two bound ends on loopback.
final class RelayWorld {
  private let server: RelayServer
  private let ends: [Int32]
  private let headers: [[UInt8]]

  init() throws {
    let secret = [UInt8](repeating: 9, count: 32)
    let server = try RelayServer(
      on: SocketAddress(v4: 127, 0, 0, 1, port: 0), port: 0, secret: secret)
    self.server = server
    var (ends, headers): ([Int32], [[UInt8]]) = ([], [])
    for leg in [RelayPass.Leg.lower, .higher] {
      let relay = SocketAddress(v4: 127, 0, 0, 1, port: server.port)
      let pass = try RelayPass(
        secret: secret, addresses: [relay], slot: 1, leg: leg, expiresAt: .max,
        kilobytesPerSecond: 0)
      let socket = iorun_udp_open(nil, 0, 1)
      ends.append(socket)
      let value = try RelayHeader(pass).data
      headers.append(
        stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: value >> $0) })
      var binding = RelayBinding(pass, seed: .random(in: 0 ... .max))
      var waiting = binding.tick(now: .seconds(1))
      while !binding.isUp {
        for case .send(let bytes, _) in waiting {
          Self.send(socket, bytes, port: server.port)
        }
        guard let answer = Self.receive(socket) else {
          throw ValidationError("the relay does not answer")
        }
        waiting = binding.receive(answer, from: relay, now: .seconds(1))
      }
    }
    self.ends = ends
    self.headers = headers
  }

  func throughput(seconds: Double, size: Int) throws -> Flow {
    let before = (pathbench_thread_ns("path-relay"), server.counters.forwardedBytes)
    let (sender, header, port) = (ends[0], headers[0], server.port)
    Thread { _ = pathbench_flood(sender, port, header, Int32(size), seconds) }.start()
    _ = pathbench_sink(ends[1], seconds)
    // The counters are told once a second.
    Thread.sleep(forTimeInterval: 1.5)
    return Flow(
      bytes: Int64(server.counters.forwardedBytes - before.1),
      cpuNanoseconds: pathbench_thread_ns("path-relay") - before.0)
  }

  /// Medians in microseconds, of small datagrams one after the other.
  func roundTrips(count: Int = 3000) -> (direct: Double, relay: Double) {
    let echo = ends[1]
    let ports = ends.map { UInt16(iorun_udp_port($0)) }
    let (back, relayPort) = (headers[1], server.port)
    Thread {
      while let bytes = Self.receive(echo, milliseconds: 2000) {
        if bytes.first == 0x9D {
          Self.send(echo, back + bytes.dropFirst(8), port: relayPort)
        } else {
          Self.send(echo, bytes, port: ports[0])
        }
      }
    }.start()
    func median(_ bytes: [UInt8], port: UInt16) -> Double {
      var times: [Double] = []
      for _ in 0..<count {
        let start = DispatchTime.now().uptimeNanoseconds
        Self.send(ends[0], bytes, port: port)
        guard Self.receive(ends[0]) != nil else { continue }
        times.append(Double(DispatchTime.now().uptimeNanoseconds - start) / 1000)
      }
      return times.sorted()[times.count / 2]
    }
    let body = [UInt8](repeating: 1, count: 64)
    // In turns, so that both meet the same machine.
    var (direct, relayed): ([Double], [Double]) = ([], [])
    for _ in 0..<3 {
      direct.append(median(body, port: ports[1]))
      relayed.append(median(headers[0] + body, port: relayPort))
    }
    return (direct.sorted()[1], relayed.sorted()[1])
  }

  private static func send(_ socket: Int32, _ bytes: [UInt8], port: UInt16) {
    var to = iorun_path_address()
    to.length = 4
    to.port = port
    to.bytes.0 = 127
    to.bytes.3 = 1
    _ = iorun_udp_send(socket, &to, bytes, bytes.count, 0)
  }

  private static func receive(_ socket: Int32, milliseconds: Int32 = 1000) -> [UInt8]? {
    var polled = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
    guard poll(&polled, 1, milliseconds) > 0 else { return nil }
    var from = iorun_path_address()
    var buffer = [UInt8](repeating: 0, count: 65_536)
    let count = iorun_udp_receive(socket, &from, &buffer, buffer.count)
    return count > 0 ? Array(buffer.prefix(count)) : nil
  }
}
