import IorunCore
import IorunScheduler
import Testing

@Suite("Label selectors")
struct LabelSelectorTests {
  @Test(
    "the four forms hold as Ray has them",
    arguments: [
      ("eu", ["region": "eu"], true), ("eu", ["region": "us"], false), ("eu", [:], false),
      ("!eu", ["region": "us"], true), ("!eu", [:], true), ("!eu", ["region": "eu"], false),
      ("in(eu,us)", ["region": "us"], true), ("in(eu, us)", ["region": "us"], true),
      ("in(eu,us)", ["region": "asia"], false), ("in(eu)", [:], false),
      ("!in(eu,us)", ["region": "asia"], true), ("!in(eu,us)", ["region": "eu"], false),
      ("!in(eu,us)", [:], true),
    ] as [(String, [String: String], Bool)])
  func forms(_ value: String, _ labels: [String: String], _ holds: Bool) throws {
    #expect(try LabelSelector(["region": value]).matches(labels) == holds)
  }

  @Test("all terms must hold")
  func conjunction() throws {
    let selector = try LabelSelector(["region": "eu", "disk": "!slow"])
    #expect(selector.matches(["region": "eu"]))
    #expect(!selector.matches(["region": "eu", "disk": "slow"]))
  }

  @Test("a selector that says nothing is refused", arguments: ["", "!", "in()", "in(a", "in(a,b"])
  func malformed(_ value: String) {
    #expect(throws: IorunError.self) { try LabelSelector(["region": value]) }
  }
}
