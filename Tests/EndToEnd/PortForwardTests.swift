import Foundation
import Testing

extension RealProcesses {
  /// `iorun port-forward`.
  @Suite(.serialized)
  struct `A forwarded port` {
    @Test(.timeLimit(.minutes(3)))
    func
      `carries a hundred connections at once, a hundred megabytes, and each side's end by itself`()
      async throws
    {
      try await TestNetwork.with(nodes: 1) { network in
        let (job, forward, port) = try await Self.begin(network)
        let checked = try await network.run(
          "python3", try network.write(Self.client, to: "client.py"), "\(port)", "all",
          within: .seconds(90))
        #expect(checked.status == 0, "\(checked)")
        #expect(
          checked.lines == ["100 connections", "100 MB intact", "half-closed", "refused"],
          "\(checked)")
        try await forward.prints("nothing answers at port 9")
        forward.signal(SIGINT)
        let end = try await forward.finish()
        #expect(end.status == 0, "\(end)")
        _ = job
      }
    }

    @Test(.timeLimit(.minutes(3)))
    func `goes on through a restart of the head in the middle of a transfer`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        let (_, _, port) = try await Self.begin(network)
        let client = try RunningCommand(
          "/usr/bin/env",
          ["python3", try network.write(Self.client, to: "client.py"), "\(port)", "slow"],
          scratch: network.root + "/commands")
        try await client.prints("a part")
        let head = try network.pid(of: "head")
        kill(head, SIGKILL)
        try await eventually("the head is gone") { !ProcessScan.isRunning(head) }
        let up = try await network.iorun("up")
        try #require(up.status == 0, "\(up)")
        let result = try await client.finish(within: .seconds(60))
        #expect(result.status == 0, "\(result)")
        #expect(result.lines.last == "all intact", "\(result)")
      }
    }

    /// A rank that serves, and a port that leads to it; another one leads nowhere.
    private static func begin(_ network: TestNetwork) async throws
      -> (String, RunningCommand, Int)
    {
      let script = try network.write(server, to: "server.py")
      let job = try await network.detach("--", "python3", script)
      try await eventually("it serves") {
        try await network.iorun("logs", job).output.contains("port ")
      }
      let text = try await network.iorun("logs", job).output
      let remote = try #require(Int(text.split(separator: " ").last?.dropLast() ?? ""))
      let forward = try network.start(["port-forward", job, "0:\(remote)", "0:9", "--json"])
      try await forward.prints("\"remote_port\":9}")
      let views = forward.output.split(separator: "\n").compactMap {
        try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
      }
      let ports = views.compactMap { $0["local_port"] as? Int }
      try #require(ports.count == 2)
      try network.write("\(ports[1])", to: "nowhere")
      return (job, forward, ports[0])
    }

    /// Sends what it is asked for: `N\n` asks for N bytes, `E\n` for what follows up to its end.
    private static let server = #"""
      import hashlib, socket, threading
      listener = socket.create_server(("127.0.0.1", 0), backlog=200)
      print("port %d" % listener.getsockname()[1], flush=True)
      block = bytes(range(256)) * 256
      def serve(peer):
          with peer, peer.makefile("rb") as file:
              line = file.readline().strip()
              if line == b"E":
                  body = file.read()
                  peer.sendall(b"%d %s" % (len(body), hashlib.sha256(body).hexdigest().encode()))
                  return
              left = int(line)
              while left > 0:
                  part = block[:min(left, len(block))]
                  peer.sendall(part)
                  left -= len(part)
      while True:
          threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
      """#

    private static let client = #"""
      import hashlib, os, socket, sys, threading, time
      port, what = int(sys.argv[1]), sys.argv[2]
      block = bytes(range(256)) * 256
      def expected(count):
          digest = hashlib.sha256()
          while count > 0:
              digest.update(block[:min(count, len(block))])
              count -= len(block)
          return digest.hexdigest()
      def fetch(count, pause=None):
          digest, got = hashlib.sha256(), 0
          with socket.create_connection(("127.0.0.1", port)) as peer:
              peer.settimeout(60)
              peer.sendall(b"%d\n" % count)
              while True:
                  part = peer.recv(1 << 18)
                  if not part: break
                  digest.update(part)
                  got += len(part)
                  if pause: pause(got)
          return got == count and digest.hexdigest() == expected(count)
      if what == "slow":
          told = []
          def pause(got):
              time.sleep(0.005)
              if got > 5_000_000 and not told:
                  told.append(1)
                  print("a part", flush=True)
          assert fetch(60_000_000, pause)
          print("all intact")
          sys.exit()
      good, start = [], threading.Barrier(100)
      def one(index):
          start.wait()
          if fetch(100_000 + index): good.append(index)
      threads = [threading.Thread(target=one, args=(index,)) for index in range(100)]
      for thread in threads: thread.start()
      for thread in threads: thread.join()
      print(len(good), "connections")
      assert fetch(100_000_000)
      print("100 MB intact")
      with socket.create_connection(("127.0.0.1", port)) as peer:
          peer.settimeout(60)
          body = b"E\n" + block * 40
          peer.sendall(body)
          peer.shutdown(socket.SHUT_WR)
          answer = b""
          while True:
              part = peer.recv(4096)
              if not part: break
              answer += part
          body = body[2:]
          assert answer == b"%d %s" % (len(body), hashlib.sha256(body).hexdigest().encode()), answer
      print("half-closed")
      nowhere = int(open(os.path.join(os.path.dirname(sys.argv[0]), "nowhere")).read())
      with socket.create_connection(("127.0.0.1", nowhere)) as peer:
          peer.settimeout(60)
          try: print("answered" if peer.recv(1) else "closed")
          except ConnectionResetError: print("refused")
      """#
  }
}
