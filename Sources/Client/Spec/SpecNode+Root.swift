internal import IorunCore
internal import Yams

extension SpecNode {
  /// More values than any spec needs, few enough to look at each.
  private static let maximumNodes = 20_000

  /// Parses the text of a spec into its one document.
  static func root(yaml: String, file: String) throws -> SpecNode {
    guard UInt64(yaml.utf8.count) <= JobSpecFile.maximumSize.rawValue else {
      throw fault(
        file, nil, "the file is larger than \(JobSpecFile.maximumSize)",
        allowed: "Put large things into files below working_dir; a spec only describes the job")
    }
    // Some editors begin a file with a byte order mark, which libyaml counts as a first value.
    let marked = yaml.unicodeScalars.first == "\u{FEFF}"
    let yaml = marked ? String(yaml.unicodeScalars.dropFirst()) : yaml
    // Before the parser sees it: Yams hashes keys, and a nest of aliases takes for ever to hash.
    if let alias = AliasScan.firstAlias(in: yaml) {
      throw fault(
        file, (alias.line, alias.column),
        "'*\(alias.name)' repeats what '&\(alias.name)' marks, which a job spec may not",
        allowed: "Write the value out again, or quote a text that has & or * in it")
    }
    let node: Node?
    do {
      node = try Parser(yaml: yaml, encoding: .utf8).singleRoot()
    } catch let error as YamlError {
      throw fault(for: error, file: file)
    }
    guard let node, node.tag.rawValue != Tag.Name.null.rawValue else {
      throw fault(
        file, nil, "the file is empty",
        allowed: "Say at least what to run, for example command: python train.py")
    }
    try checkCount(node, file: file)
    return SpecNode(node: node, file: file, path: "")
  }

  /// Counts without recursion, because depth is what a hostile file has most of.
  private static func checkCount(_ root: Node, file: String) throws {
    var open = [root]
    var count = 0
    while let node = open.popLast() {
      count += 1
      if count > maximumNodes {
        throw fault(
          file, node.mark.map { ($0.line, $0.column) },
          "the spec has more than \(maximumNodes) values",
          allowed: "Put large things into files below working_dir")
      }
      switch node {
      case .mapping(let mapping): for (key, value) in mapping { open += [key, value] }
      case .sequence(let sequence): open += sequence
      case .scalar, .alias: break
      }
    }
  }

  private static func fault(for error: YamlError, file: String) -> IorunError {
    let hint = "Check the indentation, quotes and brackets there"
    switch error {
    case .scanner(let context, let problem, let mark, _),
      .parser(let context, let problem, let mark, _):
      // A pattern such as `- *.pt` is what people write and YAML takes for an alias.
      let isAlias = context?.text.contains("alias") ?? false
      let isAnchor = context?.text.contains("anchor") ?? false
      return fault(
        file, (mark.line, mark.column), "this is not YAML: \(plain(problem))",
        allowed: isAlias || isAnchor
          ? "Quote a text that begins with \(isAlias ? "*" : "&"), for example '*.pt'" : hint)
    case .composer(_, let problem, let mark, _):
      if problem.contains("another document") {
        return fault(
          file, (mark.line, mark.column), "a second document begins here",
          allowed: "One file describes one job: remove the --- line or split the file")
      }
      if problem.contains("alias") {
        return fault(
          file, (mark.line, mark.column), "this looks like a YAML alias",
          allowed: "Quote a text that begins with *, for example '*.pt'")
      }
      return fault(
        file, (mark.line, mark.column), "this is not YAML: \(plain(problem))", allowed: hint)
    case .duplicatedKeysInMapping(let keys, let context):
      let names = keys.map { "'\($0)'" }.joined(separator: ", ")
      return fault(
        file, (context.mark.line, context.mark.column), "\(names) stands here more than once",
        allowed: "Keep one of them")
    case .reader(let problem, _, _, _):
      return fault(
        file, nil, "this is not YAML: \(plain(problem))",
        allowed: "Remove characters that are no text, such as control characters")
    default:
      return fault(file, nil, "this is not YAML", allowed: hint)
    }
  }

  /// libyaml's words with the most puzzling one explained.
  private static func plain(_ problem: String) -> String {
    problem.contains("cannot start any token")
      ? "a tab or a reserved character stands where a value should begin" : problem
  }
}
