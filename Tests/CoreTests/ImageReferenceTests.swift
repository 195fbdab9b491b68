import IorunCore
import Testing

@Suite("An image's reference") struct ImageReferenceTests {
  private let digest = String(repeating: "a", count: 64)

  @Test("names a registry's image, or the job's own layout, by its digest")
  func good() throws {
    let good = try ImageReference("registry.example:5000/team/tool@sha256:\(digest)")
    #expect(good.source == .registry(host: "registry.example:5000", name: "team/tool"))
    #expect(try ImageReference(good.description) == good)
    let own = try ImageReference("layout@sha256:\(digest)")
    #expect(own.source == .layout && own == ImageReference(layout: own.digest))
    #expect(try ImageReference(own.description) == own)
  }

  @Test(
    "without a digest, or with more in it than a name, is refused",
    arguments: [
      "", "registry.example/tool", "registry.example/tool:1", "tool@sha256:D",
      "registry.example/../x@sha256:D", "registry.example/a//b@sha256:D",
      "registry.example/a@sha256:abc", "a b/c@sha256:D", "u@h/c@sha256:D", "h/c?x@sha256:D",
      "/c@sha256:D", "-h/c@sha256:D", "layout@sha512:D", "h/C@sha256:D",
    ])
  func bad(text: String) {
    let full = text.replacing("D", with: digest)
    let error = #expect(throws: IorunError.self) { try ImageReference(full) }
    #expect(error?.code == .specInvalid)
  }
}
