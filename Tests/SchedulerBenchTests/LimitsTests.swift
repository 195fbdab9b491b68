import Foundation
import Testing

@Suite("SchedulerBench refuses what cannot be meant, and counts what it leaves out")
struct LimitsTests {
  private static let matrix = Data("0 1 20\n1 0 20\n20 20 0\n".utf8)

  @Test(
    "numbers out of bounds",
    arguments: [
      ["coordinates", "--neighbours", "0"], ["coordinates", "--neighbours=-3"],
      ["coordinates", "--rounds", "0"], ["refine", "--draws=-1"], ["refine", "--k", "0"],
      ["group", "--draws", "0"],
    ])
  func refused(arguments: [String]) throws {
    let files = try BenchFiles()
    try files.write(Self.matrix, "matrix")
    let outcome = try files.run(arguments: arguments + ["--matrix", "matrix"])
    #expect(outcome.status == 2, "\(outcome)")
    #expect(outcome.errors.contains("must be"), "\(outcome)")
  }

  @Test("draws without room are counted, and the table has the references")
  func counted() throws {
    let files = try BenchFiles()
    try files.write(Self.matrix, "matrix")
    let json = try files.run("group", "--matrix", "matrix", "--k", "3", "--draws", "4", "--json")
    #expect(json.values["draws"] == 4 && json.values["draws_without_room"] == 0, "\(json)")
    #expect(json.values["draws_not_found"] == 0, "\(json)")
    let table = try files.run("group", "--matrix", "matrix", "--k", "3", "--draws", "4")
    #expect(table.output.contains("(a ball around one site: 1.02 to 1.15)"), "\(table)")
  }

  @Test(
    "what nobody knows is named, and ends with 2",
    arguments: [
      (["scale", "--bogus", "1"], "--bogus"), (["nope"], "nope"),
      (["openb", "--nodes", "n", "--pods", "p", "--bogus", "1"], "--bogus"),
      (["replay", "--jobs", "x", "--policy", "best"], "best"),
      (["group", "--matrix", "matrix", "--format", "xml"], "xml"),
      (["scale", "--devices", "many"], "many"), (["group"], "--matrix"),
    ])
  func unknown(arguments: [String], named: String) throws {
    let files = try BenchFiles()
    try files.write(Self.matrix, "matrix")
    let outcome = try files.run(arguments: arguments)
    #expect(outcome.status == 2 && outcome.output.isEmpty, "\(outcome)")
    #expect(outcome.errors.contains(named), "\(outcome)")
  }

  @Test("help is no error")
  func help() throws {
    let outcome = try BenchFiles().run("scale", "--help")
    #expect(outcome.status == 0 && outcome.output.contains("--shapes"), "\(outcome)")
  }
}
