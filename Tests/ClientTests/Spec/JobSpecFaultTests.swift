import IorunClient
import IorunCore
import Testing

/// Wrong specs: each fault has its place, its words and its advice.
@Suite struct JobSpecFaultTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var yaml: String
    /// `line:column` of the fault.
    var place: String
    var says: String
    var advises: String

    var testDescription: String { says }

    init(_ yaml: String, _ place: String, _ says: String, _ advises: String) {
      (self.yaml, self.place, self.says, self.advises) = (yaml, place, says, advises)
    }
  }

  static let cases: [Case] = [
    // Keys.
    Case("comand: a", "1:1", "unknown key 'comand'; the nearest known key is 'command'", "outputs"),
    Case("command: a\nworking-dir: .", "2:1", "known key is 'working_dir'", "Allowed at"),
    Case(
      "command: a\ngang:\n  rank: 2", "3:3", "unknown key 'rank'; the nearest known key is 'ranks'",
      "Allowed at gang: ranks, resources"),
    Case("command: a\nranks: 2", "2:1", "'ranks' belongs under gang", "Allowed at"),
    Case("command: a\ngang: {gpus: 1}", "2:8", "'gpus' belongs under gang.resources", "Allowed at"),
    Case("command: a\n1: b", "2:1", "unknown key '1'", "Allowed at"),
    Case("command: a\nname: x\nname: y", "2:1", "'name' stands here more than once", "Keep one"),
    Case("command: a\nenv: {A: 1, A: 2}", "2:7", "'A' stands here more than once", "Keep one"),
    Case("name: x", "1:1", "neither command nor swift", "Add command"),
    Case("command: a\nswift: b", "2:8", "command and swift are both there", "Keep either"),
    Case("swift: {arguments: []}", "1:8", "swift has no target", "Add target"),
    // Types.
    Case(
      "command: {a: b}", "1:10",
      "command must be a shell command or a list of a program and its arguments, found a group of keys",
      "Give"),
    Case("command: 7", "1:10", "found the number 7", "Give"),
    Case("command:", "1:9", "found nothing", "Give"),
    Case("command: [a, [b]]", "1:14", "command[1] must be a text, found a list", "Give"),
    Case(
      "command: a\ngang: 3", "2:7",
      "gang must be a group with the keys ranks, resources, placement, labels, "
        + "spread_over, max_price, spares, on_loss, min_ranks, found the number 3", "Give"),
    Case(
      "command: a\ngang: {ranks: three}", "2:15",
      "gang.ranks must be a whole number from 1 to 4096, found the text 'three'", "Give"),
    Case("command: a\ngang: {ranks: true}", "2:15", "found the truth value true", "Give"),
    Case(
      "command: a\noutputs: x", "2:10", "outputs must be a list of paths, found the text 'x'",
      "Give"),
    Case(
      "command: a\nenv: [A=1]", "2:6", "env must be a group of NAME: value, found a list", "Give"),
    Case(
      "command: a\nenv: {A: }", "2:10",
      "env.A must be a text; write '' for an empty one, found nothing", "Give"),
    Case("command: !!binary aGk=", "1:10", "with the tag tag:yaml.org,2002:binary", "Give"),
    Case("- command: a", "1:1", "a job spec is a group of keys, found a list", "Begin with keys"),
    Case("just words", "1:1", "found the text 'just words'", "Begin with keys"),
    // Values.
    Case("command: a\ngang: {ranks: 0}", "2:15", "gang.ranks is 0", "from 1 to 4096"),
    Case("command: a\ngang: {ranks: -2}", "2:15", "gang.ranks is -2", "from 1 to 4096"),
    Case("command: a\ngang: {ranks: 1.5}", "2:15", "gang.ranks is 1.5", "whole number"),
    Case("command: a\ngang: {ranks: 99999999999999999999}", "2:15", "gang.ranks is 9999", "whole"),
    Case("command: a\ngang: {resources: {cpus: .nan}}", "2:26", "cpus is .nan", "0.001"),
    Case("command: a\ngang: {resources: {cpus: .inf}}", "2:26", "cpus is .inf", "0.001"),
    Case("command: a\ngang: {resources: {cpus: 0}}", "2:26", "cpus is 0", "0.001"),
    Case("command: a\ngang: {resources: {gpus: 0.5}}", "2:26", "gpus is 0.5", "whole number"),
    Case("command: a\ngang: {placement: NEAR}", "2:19", "gang.placement is 'NEAR'", "SITE(20ms)"),
    Case("command: a\ngang: {placement: SITE(0ms)}", "2:19", "placement is 'SITE(0ms)'", "SITE"),
    Case(
      "command: a\ngang: {resources: {gpu_model: H100}}", "2:31",
      "gpu_model is there, but gpus is 0", "gpus: 1"),
    Case(
      "command: a\ngang: {resources: {memory: 4 XB}}", "2:28",
      "memory is '4 XB', which is no amount", "memory: 4 GiB"),
    Case("command: a\ngang: {resources: {memory: -1}}", "2:28", "memory is '-1'", "memory: 4 GiB"),
    Case(
      "command: a\ngang: {resources: {disk: 4}}", "2:26", "disk is 4 B, too little", "disk: 4 GiB"),
    Case("command: a\ntimeout: 10 parsecs", "2:10", "timeout is '10 parsecs'", "90s, 10m, 2h"),
    Case("command: a\ntimeout: 0", "2:10", "timeout is '0'", "90s, 10m, 2h"),
    Case("command: a\ntimeout: .nan", "2:10", "timeout is '.nan'", "90s, 10m, 2h"),
    Case("command: a\nnetwork: mesh", "2:10", "network is 'mesh'", "gang for an encrypted"),
    Case(
      "command: a\nimage: h/a@sha256:12", "2:8", "image is 'h/a@sha256:12'", "@sha256:DIGEST"),
    Case("command: a\nimage: ''", "2:8", "image is ''", "the path of an OCI layout"),
    Case("command: a\nretries: -1", "2:10", "retries is -1", "from 0 to 100"),
    Case("command: ' '", "1:10", "command is empty", "something to run"),
    Case("command: []", "1:10", "command is empty", "Begin the list"),
    Case("command: \"a\\0b\"", "1:10", "command has a zero byte", "Leave"),
    Case("swift: a/b", "1:8", "no product's name", "executable product"),
    Case("command: a\nname: ''", "2:7", "name is empty", "1 to 128"),
    Case("command: a\nworking_dir: ''", "2:14", "working_dir is empty", "Use ."),
    Case("command: a\noutputs: [/etc/passwd]", "2:11", "'/etc/passwd' is not below", "relative"),
    Case("command: a\noutputs: [a/../../b]", "2:11", "is not below", "relative"),
    Case(
      "command: a\nenv: {RANK: 1}", "2:7", "env sets RANK, which iorun sets itself", "another name"),
    Case("command: a\nenv: {IORUN_X: 1}", "2:7", "env sets IORUN_X", "another name"),
    Case("command: a\nenv: {A=B: 1}", "2:7", "'A=B' is no name", "letters"),
    // YAML itself.
    Case("", "1:1", "the file is empty", "command: python"),
    Case("# nothing\n", "1:1", "the file is empty", "command: python"),
    Case("command: a\n---\ncommand: b", "2:1", "a second document begins here", "split"),
    Case("command: 'a", "1:12", "this is not YAML", "quotes"),
    Case("command: a\n\tname: b", "2:1", "this is not YAML", "indentation"),
    Case(
      "command: a\noutputs:\n  - *.pt", "3:6", "this is not YAML", "Quote a text that begins with *"
    ),
    Case("command: a\noutputs:\n  - *all", "3:5", "looks like a YAML alias", "Quote"),
    Case("command: &a b\nname: *a", "2:7", "'*a' repeats what '&a' marks", "Write the value out"),
    Case("command: a\u{7}b", "1:1", "this is not YAML", "control characters"),
  ]

  @Test("a wrong spec is refused at its place", arguments: cases)
  func refuses(_ wrong: Case) throws {
    let error = try #require(throws: IorunError.self) {
      try JobSpecFile.parse(yaml: wrong.yaml, file: "job.yaml")
    }
    #expect(error.code == .specInvalid)
    #expect(error.message.hasPrefix("job.yaml:\(wrong.place): "), "\(error.message)")
    #expect(error.message.contains(wrong.says), "\(error.message)")
    #expect(error.remedy?.contains(wrong.advises) == true, "\(error)")
  }

  @Test func `a nest of aliases is refused before it can grow`() throws {
    var yaml = "a0: &a0 [x, x]\n"
    for level in 1..<60 { yaml += "a\(level): &a\(level) [*a\(level - 1), *a\(level - 1)]\n" }
    yaml += "? *a59\n: 1\n"
    let error = try #require(throws: IorunError.self) {
      try JobSpecFile.parse(yaml: yaml, file: "job.yaml")
    }
    #expect(error.message.contains("repeats what '&a0' marks"))
  }

  @Test func `a command with & and * in it is no alias`() throws {
    let spec = try JobSpecFile.parse(
      yaml: "command: make -j2 && cp out/*.bin . & wait 2>&1", file: "job.yaml")
    #expect(
      spec.spec.entrypoint
        == .command(["/bin/sh", "-c", "make -j2 && cp out/*.bin . & wait 2>&1"]))
  }

  @Test("deep nesting is refused and does not exhaust the stack", arguments: ["[", "{a: ", "- "])
  func deep(opening: String) throws {
    for depth in [900, 100_000] {
      #expect(throws: IorunError.self) {
        try JobSpecFile.parse(yaml: String(repeating: opening, count: depth), file: "job.yaml")
      }
    }
    let closed =
      "command: a\nenv: " + String(repeating: "[", count: 900)
      + String(repeating: "]", count: 900)
    #expect(throws: IorunError.self) { try JobSpecFile.parse(yaml: closed, file: "job.yaml") }
  }

  @Test func `too many values and too many bytes are refused`() throws {
    let many = "command: [" + String(repeating: "a,", count: 30_000) + "a]"
    let tooMany = try #require(throws: IorunError.self) {
      try JobSpecFile.parse(yaml: many, file: "job.yaml")
    }
    #expect(tooMany.message.contains("more than 20000 values"))
    let tooLarge = try #require(throws: IorunError.self) {
      try JobSpecFile.parse(yaml: String(repeating: "#", count: 1 << 21), file: "job.yaml")
    }
    #expect(tooLarge.message.contains("larger than 1 MiB"))
  }

  @Test func `random damage to a spec never crashes the reader`() {
    let good = Array("command: [a, b]\ngang: {ranks: 2, resources: {cpus: 1}}\nenv: {A: b}\n".utf8)
    let marks = Array("&*!|>-?:{}[],'\"#%@`\n\t 0aA~\\".utf8)
    for seed in UInt64(1)...3000 {
      var state = seed &* 0x9E37_79B9_7F4A_7C15
      func next(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int((state >> 33) % UInt64(bound))
      }
      var bytes = good
      for _ in 0...next(4) {
        bytes[next(bytes.count)] = marks[next(marks.count)]
      }
      do {
        _ = try JobSpecFile.parse(yaml: String(decoding: bytes, as: UTF8.self), file: "job.yaml")
      } catch let error as IorunError {
        #expect(error.code == .specInvalid, "seed \(seed)")
      } catch {
        Issue.record("seed \(seed): \(error)")
      }
    }
  }
}
