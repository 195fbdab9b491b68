import Foundation
import IorunCore
import Testing

@testable import IorunClient

@Suite("An image on the buyer's machine")
struct LocalImageTests {
  private let digest = String(repeating: "ab", count: 32)

  /// A layout that is none of a real image: only its index is read here.
  private func layout(_ manifests: String) throws -> String {
    let folder = NSTemporaryDirectory() + "iorun-layout-\(UUID().uuidString)"
    try FileManager.default.createDirectory(
      atPath: folder + "/blobs/sha256", withIntermediateDirectories: true)
    try Data("{\"manifests\": [\(manifests)]}".utf8)
      .write(to: URL(fileURLWithPath: folder + "/index.json"))
    try Data("blob".utf8).write(to: URL(fileURLWithPath: folder + "/blobs/sha256/\(digest)"))
    try Data("other".utf8).write(to: URL(fileURLWithPath: folder + "/notes.txt"))
    return folder
  }

  @Test("is found as a folder and as an archive, and travels below a folder of its own")
  func found() throws {
    let folder = try layout("{\"digest\": \"sha256:\(digest)\"}")
    let archive = folder + ".tar"
    defer {
      for path in [folder, archive] { try? FileManager.default.removeItem(atPath: path) }
    }
    let tar = Process()
    tar.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    tar.arguments = ["tar", "-cf", archive, "-C", folder, "."]
    try tar.run()
    tar.waitUntilExit()
    for path in [folder, archive] {
      let name = URL(fileURLWithPath: path).lastPathComponent
      let image = try #require(
        try LocalImage.find(name, near: (path as NSString).deletingLastPathComponent))
      #expect(image.reference.description == "layout@sha256:\(digest)")
      let paths = try image.snapshot().manifest.entries.map(\.path)
      #expect(paths == [".iorun/image/blobs/sha256/\(digest)", ".iorun/image/index.json"])
    }
  }

  @Test("a registry's image is not looked for; what is no layout with one image is refused")
  func refused() throws {
    #expect(try LocalImage.find("h/a@sha256:\(digest)", near: "/") == nil)
    let missing = #expect(throws: IorunError.self) {
      try LocalImage.find("alpine:3", near: NSTemporaryDirectory())
    }
    #expect(missing?.code == .fileMissing)
    let entry = "{\"digest\": \"sha256:\(digest)\"}"
    for manifests in ["", "\(entry), \(entry)", "{\"digest\": \"md5:1\"}", "{}"] {
      let folder = try layout(manifests)
      defer { try? FileManager.default.removeItem(atPath: folder) }
      let error = #expect(throws: IorunError.self) { try LocalImage.find(folder, near: "/") }
      #expect(error?.code == .imageInvalid)
    }
    let file = try layout("") + "/notes.txt"
    let archive = #expect(throws: IorunError.self) { try LocalImage.find(file, near: "/") }
    #expect(archive?.code == .imageInvalid)
  }
}
