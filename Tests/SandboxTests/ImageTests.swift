import Foundation
import IorunCore
import IorunCrypto
import Testing

@testable import IorunSandbox

@Suite struct ImageTests {
  private func folder() throws -> String {
    let path = NSTemporaryDirectory() + "iorun-image-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    return path
  }

  private func save(_ bytes: [UInt8], _ path: String) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: path))
  }

  private func unpack(
    _ tar: Tar, in base: String, limits: ImageUnpacker.Limits = .init()
  ) throws {
    try save(tar.archive, base + "/layer.tar")
    var unpacker = try ImageUnpacker(into: base + "/root", limits: limits)
    try unpacker.addLayer(base + "/layer.tar")
  }

  private func text(_ path: String) -> String? {
    try? String(contentsOfFile: path, encoding: .utf8)
  }

  @Test("an image's layers are put one over the other, once their digests are right")
  func layout() throws {
    let base = try folder()
    defer { try? FileManager.default.removeItem(atPath: base) }
    var first = Tar()
    first.add("./usr/", type: "5", mode: 0o700)
    first.add("./usr/bin/tool", content: Array("one".utf8), mode: 0o4700)
    first.add("bin", type: "2", link: "usr/bin")
    first.add("old/a", content: Array("gone".utf8))
    first.add("kept/b", content: Array("kept".utf8))
    first.add("null", type: "3", mode: 0o666)
    var second = Tar()
    // Through a link of the layer below, as real images do.
    second.add("bin/other", content: Array("two".utf8), mode: 0o755)
    second.add("bin/same", type: "1", link: "usr/bin/tool")
    second.add(".wh.old")
    let blobs = base + "/layout/blobs/sha256"
    try FileManager.default.createDirectory(atPath: blobs, withIntermediateDirectories: true)
    func blob(_ bytes: [UInt8]) throws -> String {
      let digest = SHA256.digest(of: bytes).description
      try save(bytes, blobs + "/" + digest)
      return "sha256:" + digest
    }
    try save(second.archive, base + "/second")
    let zipped = Process()
    zipped.executableURL = URL(fileURLWithPath: "/bin/sh")
    zipped.arguments = ["-c", "gzip -c '\(base)/second' > '\(base)/second.gz'"]
    try zipped.run()
    zipped.waitUntilExit()
    let gzip = [UInt8](try Data(contentsOf: URL(fileURLWithPath: base + "/second.gz")))
    let ids = [first.archive, second.archive].map { "sha256:\(SHA256.digest(of: $0))" }
    let configuration = try blob(
      Array(
        """
        {"config":{"Env":["A=b"],"Entrypoint":["/bin/tool"],"Cmd":["x"],"WorkingDir":"/usr"},
         "rootfs":{"type":"layers","diff_ids":["\(ids[0])","\(ids[1])"]}}
        """.utf8))
    let layers = [try blob(first.archive), try blob(gzip)]
    let manifest = try blob(
      Array(
        """
        {"config":{"digest":"\(configuration)","size":1},"layers":[
         {"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"\(layers[0])","size":1},
         {"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"\(layers[1])","size":1}]}
        """.utf8))
    try save(
      Array(
        """
        {"manifests":[{"digest":"\(manifest)","size":1,
         "annotations":{"org.opencontainers.image.ref.name":"main"}}]}
        """.utf8), base + "/layout/index.json")
    let layout = ImageLayout(folder: base + "/layout")
    let root = base + "/root"
    let defaults = try layout.unpack("main", into: root, temporary: base + "/tmp")
    #expect(defaults.command == ["/bin/tool", "x"])
    #expect(defaults.environment == ["A=b"])
    #expect(defaults.folder == "/usr")
    #expect(text(root + "/usr/bin/tool") == "one")
    #expect(text(root + "/usr/bin/other") == "two")
    #expect(text(root + "/bin/same") == "one")
    #expect(text(root + "/kept/b") == "kept")
    #expect(access(root + "/old", F_OK) != 0)
    #expect(access(root + "/null", F_OK) != 0)
    var status = stat()
    #expect(stat(root + "/usr/bin/tool", &status) == 0)
    #expect(status.st_mode & 0o7777 == 0o744)
    let missing = #expect(throws: IorunError.self) {
      try layout.unpack("other", into: base + "/r2", temporary: base + "/tmp")
    }
    #expect(missing?.code == .notFound)
    // One flipped bit in any blob.
    for digest in layers + [configuration, manifest] {
      let path = blobs + "/" + digest.dropFirst(7)
      let good = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
      var bad = good
      bad[bad.count / 3] ^= 1
      try save(bad, path)
      let error = #expect(throws: IorunError.self) {
        try layout.unpack(nil, into: base + "/r3", temporary: base + "/tmp")
      }
      #expect(error?.code == .imageInvalid)
      try save(good, path)
    }
  }

  @Test("no path, link or whiteout of a layer leads out of its folder")
  func harmful() throws {
    let outside = try folder()
    defer { try? FileManager.default.removeItem(atPath: outside) }
    try save(Array("keep".utf8), outside + "/canary")
    let up = String(repeating: "../", count: 40)
    var cases: [Tar] = []
    func add(_ build: (inout Tar) -> Void) {
      var tar = Tar()
      build(&tar)
      cases.append(tar)
    }
    let evil = Array("evil".utf8)
    add { $0.add("../canary", content: evil) }
    add { $0.add("a/../../canary", content: evil) }
    add { $0.add(outside + "/canary", content: evil) }
    add {
      $0.add("out", type: "2", link: outside)
      $0.add("out/canary", content: evil)
    }
    add {
      $0.add("out", type: "2", link: up + outside.dropFirst())
      $0.add("out/canary", content: evil)
    }
    add {
      $0.add("out", type: "2", link: outside)
      $0.add("out/.wh.canary")
    }
    add {
      $0.add("out", type: "2", link: outside)
      $0.add("out/.wh..wh..opq")
    }
    add { $0.add(".wh...", content: []) }
    add { $0.add(".wh.", content: []) }
    add { $0.add("hard", type: "1", link: outside + "/canary") }
    add { $0.add("hard", type: "1", link: up + outside.dropFirst() + "/canary") }
    add {
      $0.add("file", type: "2", link: outside + "/canary")
      $0.add("file", content: evil)
    }
    add {
      $0.add("file", type: "2", link: outside + "/canary")
      $0.add("hard", type: "1", link: "file")
      $0.add("hard", content: evil)
    }
    add {
      $0.add("self", type: "2", link: "/proc/self/root")
      $0.add("self" + outside + "/canary", content: evil)
    }
    for (index, tar) in cases.enumerated() {
      let base = try folder()
      defer { try? FileManager.default.removeItem(atPath: base) }
      do {
        try unpack(tar, in: base)
      } catch let error as IorunError {
        #expect(error.code == .imageInvalid, "\(index)")
      }
      #expect(text(outside + "/canary") == "keep", "\(index)")
      let names = try FileManager.default.contentsOfDirectory(atPath: outside)
      #expect(names == ["canary"], "\(index)")
    }
  }

  @Test("an image that is too large is refused before the disk is full")
  func limits() throws {
    let base = try folder()
    defer { try? FileManager.default.removeItem(atPath: base) }
    var tar = Tar()
    for number in 0..<4 { tar.add("f\(number)", content: [UInt8](repeating: 1, count: 1000)) }
    for limits in [
      ImageUnpacker.Limits(bytes: Bytes(3999)), ImageUnpacker.Limits(entries: 3),
    ] {
      let error = #expect(throws: IorunError.self) { try unpack(tar, in: base, limits: limits) }
      #expect(error?.code == .imageInvalid)
    }
    try unpack(tar, in: base, limits: .init(bytes: Bytes(4000), entries: 4))
  }

  @Test("a layer of zeros is given up once it is much larger than its compressed form")
  func bomb() throws {
    let base = try folder()
    defer { try? FileManager.default.removeItem(atPath: base) }
    let blobs = base + "/layout/blobs/sha256"
    try FileManager.default.createDirectory(atPath: blobs, withIntermediateDirectories: true)
    func blob(_ text: String) throws -> String {
      let digest = SHA256.digest(of: Array(text.utf8)).description
      try save(Array(text.utf8), blobs + "/" + digest)
      return "sha256:" + digest
    }
    // 80 MiB in 80 KiB: a thousandfold, where 200 are allowed, and 64 MiB in any case.
    let zipped = Process()
    zipped.executableURL = URL(fileURLWithPath: "/bin/sh")
    zipped.arguments = ["-c", "head -c 83886080 /dev/zero | gzip -9 > '\(base)/bomb.gz'"]
    try zipped.run()
    zipped.waitUntilExit()
    let bomb = [UInt8](try Data(contentsOf: URL(fileURLWithPath: base + "/bomb.gz")))
    let digest = SHA256.digest(of: bomb).description
    try save(bomb, blobs + "/" + digest)
    let configuration = try blob(
      #"{"config":{},"rootfs":{"type":"layers","diff_ids":["sha256:\#(digest)"]}}"#)
    let manifest = try blob(
      """
      {"config":{"digest":"\(configuration)","size":1},"layers":[
       {"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:\(digest)",
        "size":1}]}
      """)
    try save(
      Array(#"{"manifests":[{"digest":"\#(manifest)","size":1}]}"#.utf8),
      base + "/layout/index.json")
    let error = #expect(throws: IorunError.self) {
      try ImageLayout(folder: base + "/layout")
        .unpack(nil, into: base + "/root", temporary: base + "/tmp")
    }
    #expect(error?.code == .imageInvalid)
    #expect(error?.message.contains("within 64 MiB") == true, "\(String(describing: error))")
    #expect(ImageUnpacker.Limits().archive(ofCompressed: 1 << 20) == .mebi(200))
    #expect(ImageUnpacker.Limits().archive(ofCompressed: .max) == .gibi(64))
  }

  @Test("a damaged archive is refused, and never leads out", arguments: [1, 2, 3] as [UInt64])
  func damaged(seed: UInt64) throws {
    let base = try folder()
    defer { try? FileManager.default.removeItem(atPath: base) }
    var tar = Tar()
    tar.add("a/b", content: [UInt8](repeating: 5, count: 700))
    tar.add("x", type: "x", content: Array("20 path=a/longer/c1\n".utf8))
    tar.add("short", content: [1, 2, 3])
    tar.add("l", type: "2", link: "a")
    tar.add("h", type: "1", link: "a/b")
    let good = tar.archive
    var state = seed
    func random(_ count: Int) -> Int {
      // Knuth's MMIX generator: the same run for the same seed.
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % count
    }
    for _ in 0..<60 {
      var bad = good
      for _ in 0...random(4) {
        let block = random(bad.count / 512) * 512
        bad[block + random(512)] = UInt8(random(256))
        // With a right sum, so that what is behind it is reached.
        var sum = 0
        for offset in 0..<512 {
          sum += (148..<156).contains(offset) ? 32 : Int(bad[block + offset])
        }
        let digits = Array((String(sum, radix: 8) + "\u{0}").utf8)
        for offset in 0..<8 {
          bad[block + 148 + offset] = offset < digits.count ? digits[offset] : 32
        }
      }
      if random(4) == 0 { bad.removeLast(random(bad.count)) }
      try save(bad, base + "/bad.tar")
      do {
        var unpacker = try ImageUnpacker(
          into: base + "/root", limits: .init(bytes: .mebi(1), entries: 100))
        try unpacker.addLayer(base + "/bad.tar")
      } catch let error as IorunError {
        #expect(error.code == .imageInvalid, "\(error)")
      }
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: base).sorted() == ["bad.tar", "root"])
    }
  }
}
