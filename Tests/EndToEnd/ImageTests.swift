import Foundation
import Testing

extension RealProcesses {
  /// Jobs that bring an image, on a node whose ranks have sandboxes.
  @Suite(
    .serialized,
    .enabled(
      if: Privileges.canMakeNamespaces
        && ["/usr/bin/bwrap", "/usr/bin/python3"].allSatisfy(
          FileManager.default.isExecutableFile(atPath:)),
      "needs root, iproute2, nftables, bubblewrap and python3"))
  struct `A job with an image` {
    @Test(.timeLimit(.minutes(4)), arguments: ["bwrap", "oci"])
    func `sees the image's files and none of the node's, and people reach into it`(
      isolation: String
    ) async throws {
      let hasRuntime = ["/usr/bin/crun", "/usr/sbin/runc", "/usr/bin/runc"].contains(
        where: FileManager.default.isExecutableFile(atPath:))
      if isolation == "oci", !hasRuntime {
        print("SKIPPED: neither crun nor runc is installed")
        return
      }
      try await SealedNode.with("--isolation", isolation) { network in
        let image = try await Self.makeImage(network)
        try network.write("of the client", to: "work/given.txt")
        let job = try await network.detach(
          "--image", image, "--working-dir", network.root + "/work", "--", "sh", "-c",
          """
          cat /marker given.txt; echo; echo user $(id -u) in $(pwd), $FROM_IMAGE, $PATH, $HOME
          cat /usr/bin/env 2>/dev/null || echo nothing of the node
          ls -a; echo mine > made.txt; exec sleep 600
          """)
        _ = try await network.job(job, reaches: "running", within: .seconds(90))
        var log = ""
        try await eventually("it printed all") {
          log = try await network.iorun("logs", job).output
          return log.contains("given.txt\n")
        } detail: {
          log
        }
        #expect(log.contains("of the image\n") && log.contains("of the client"), "\(log)")
        #expect(log.contains("user 1000 in /job, yes, /bin, /job"), "\(log)")
        #expect(log.contains("nothing of the node"), "\(log)")
        // The layout travelled with the working folder, and is no part of it.
        #expect(!log.contains(".iorun\n"), "\(log)")
        let view = try await network.iorun("exec", job, "--", "sh", "-c", "cat /marker made.txt")
        #expect(view.output == "of the image\nmine\n", "\(view)")
        _ = try await network.iorun("cancel", job)
        // Again: it is there already.
        let again = try await network.iorun(
          "submit", "--image", image, "--", "cat", "/marker", within: .seconds(90))
        #expect(again.status == 0 && again.output.contains("of the image"), "\(again)")
        let kept = try FileManager.default.contentsOfDirectory(
          atPath: network.root + "/far/node/images")
        #expect(kept.count == 1, "\(kept)")
      }
    }

    @Test(.timeLimit(.minutes(4)))
    func `is fetched from a registry by its digest, and a wrong one is refused`() async throws {
      let registry = try FreePort.any()
      try await SealedNode.with(
        "--isolation", "bwrap", "--registry", "http://127.0.0.1:\(registry)"
      ) { network in
        let image = try await Self.makeImage(network)
        let digest = try String(
          decoding: Data(contentsOf: URL(fileURLWithPath: network.root + "/digest")),
          as: UTF8.self)
        // What a registry that needs no account answers, as files.
        let place = network.root + "/served/v2/team/tool"
        for name in ["manifests", "blobs"] {
          try FileManager.default.createDirectory(
            atPath: place + "/" + name, withIntermediateDirectories: true)
        }
        for name in try FileManager.default.contentsOfDirectory(atPath: image + "/blobs/sha256") {
          for folder in ["manifests", "blobs"] {
            try FileManager.default.copyItem(
              atPath: image + "/blobs/sha256/" + name, toPath: "\(place)/\(folder)/sha256:\(name)")
          }
        }
        let server = try RunningCommand(
          "/usr/bin/python3",
          ["-m", "http.server", "--bind", "127.0.0.1", "\(registry)"],
          scratch: network.root + "/commands", environment: ["PATH": "/usr/bin:/bin"],
          directory: network.root + "/served")
        defer { server.signal(SIGKILL) }
        let reference = "127.0.0.1:\(registry)/team/tool@\(digest)"
        let job = try await network.iorun(
          "submit", "--image", reference, "--", "cat", "/marker", within: .seconds(90))
        #expect(job.status == 0 && job.output.contains("of the image"), "\(job)")
        // Another name for the same digest needs nothing; another digest is not there.
        let wrong = String(repeating: "0", count: 64)
        let missing = try await network.iorun(
          "submit", "--image", "127.0.0.1:\(registry)/team/tool@sha256:\(wrong)", "--", "true",
          within: .seconds(90))
        #expect(missing.status != 0 && missing.errors.contains("404"), "\(missing)")
        // A private registry that the owner has not named is out of reach.
        let other = try await network.iorun(
          "submit", "--image", "10.1.2.3/team/tool@sha256:\(wrong)", "--start-by", "30s", "--",
          "true", within: .seconds(90))
        #expect(other.status != 0, "\(other)")
      }
    }

    @Test(.timeLimit(.minutes(4)))
    func `that is damaged fails, and says why`() async throws {
      try await SealedNode.with("--isolation", "bwrap") { network in
        let image = try await Self.makeImage(network)
        let blobs = image + "/blobs/sha256"
        let layer = try #require(
          try FileManager.default.contentsOfDirectory(atPath: blobs).max {
            Self.size(blobs + "/" + $0) < Self.size(blobs + "/" + $1)
          })
        let path = blobs + "/" + layer
        var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        bytes[bytes.count / 2] ^= 1
        try bytes.write(to: URL(fileURLWithPath: path))
        let job = try await network.iorun(
          "submit", "--image", image, "--", "cat", "/marker", within: .seconds(90))
        #expect(job.status != 0 && job.errors.contains("digest"), "\(job)")
        let kept = try FileManager.default.contentsOfDirectory(
          atPath: network.root + "/far/node/images")
        #expect(kept.isEmpty, "\(kept)")
      }
    }

    private static func size(_ path: String) -> Int {
      let attributes = try? FileManager.default.attributesOfItem(atPath: path)
      return attributes?[.size] as? Int ?? 0
    }

    /// A layout with one image: a shell and a few programs of this machine, with their libraries.
    private static func makeImage(_ network: TestNetwork) async throws -> String {
      let script = try network.write(imageScript, to: "image.py")
      let folder = network.root + "/image"
      let made = try await network.run("/usr/bin/python3", script, folder)
      try #require(made.status == 0, "\(made)")
      _ = try network.write(
        made.output.trimmingCharacters(in: .whitespacesAndNewlines), to: "digest")
      return folder
    }

    private static let imageScript = #"""
      import gzip, hashlib, io, json, os, re, subprocess, sys, tarfile

      out = sys.argv[1]
      os.makedirs(out + "/blobs/sha256")

      def blob(data):
          digest = hashlib.sha256(data).hexdigest()
          with open(f"{out}/blobs/sha256/{digest}", "wb") as file:
              file.write(data)
          return {"digest": "sha256:" + digest, "size": len(data)}

      files = {}
      for name in ["sh", "cat", "ls", "id", "sleep"]:
          path = os.path.realpath(next(p for p in ["/bin/" + name, "/usr/bin/" + name]
                                       if os.path.exists(p)))
          files["bin/" + name] = path
          said = subprocess.run(["ldd", path], capture_output=True, text=True).stdout
          for library in re.findall(r"(/\S+\.so\S*)", said):
              files[library[1:]] = os.path.realpath(library)
      buffer = io.BytesIO()
      with tarfile.open(fileobj=buffer, mode="w") as tar:
          def add(path, data, mode):
              entry = tarfile.TarInfo(path)
              entry.size, entry.mode = len(data), mode
              tar.addfile(entry, io.BytesIO(data))
          for path, source in sorted(files.items()):
              add(path, open(source, "rb").read(), 0o755)
          add("marker", b"of the image\n", 0o644)
      layer = blob(gzip.compress(buffer.getvalue(), 1))
      layer["mediaType"] = "application/vnd.oci.image.layer.v1.tar+gzip"
      identity = "sha256:" + hashlib.sha256(buffer.getvalue()).hexdigest()
      config = blob(json.dumps({
          "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
          "os": "linux", "config": {"Env": ["PATH=/bin", "FROM_IMAGE=yes"]},
          "rootfs": {"type": "layers", "diff_ids": [identity]}}).encode())
      config["mediaType"] = "application/vnd.oci.image.config.v1+json"
      manifest = blob(json.dumps({
          "schemaVersion": 2, "config": config, "layers": [layer]}).encode())
      manifest["mediaType"] = "application/vnd.oci.image.manifest.v1+json"
      with open(out + "/index.json", "w") as file:
          json.dump({"schemaVersion": 2, "manifests": [manifest]}, file)
      print(manifest["digest"])
      """#
  }
}
