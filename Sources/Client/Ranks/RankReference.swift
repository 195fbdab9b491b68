public import IorunCore

/// A rank as people name it: `JOB` for rank 0, or `JOB:RANK`.
public struct RankReference: Hashable, Sendable {
  /// The job: its id, the start of its id, or its name.
  public var job: String
  /// The rank, from 0.
  public var rank: Int

  /// Reads `JOB` or `JOB:RANK`.
  ///
  /// - Throws: `specInvalid`.
  public init(_ text: String) throws(IorunError) {
    guard let colon = text.lastIndex(of: ":") else {
      self.init(job: text, rank: 0)
      return
    }
    let number = text[text.index(after: colon)...]
    guard let rank = Int(number), JobLimits.ranks.contains(rank + 1), colon > text.startIndex else {
      throw IorunError(
        .specInvalid, "'\(text)' names no rank: '\(number)' is not a rank's number",
        remedy: "Give JOB, or JOB:RANK such as \(text[..<colon]):0")
    }
    self.init(job: String(text[..<colon]), rank: rank)
  }

  /// Names a rank.
  public init(job: String, rank: Int) {
    self.job = job
    self.rank = rank
  }
}

/// One side of a copy: a path on this machine, or one in a rank's working folder.
public enum CopyPlace: Hashable, Sendable {
  /// A path on this machine.
  case local(String)
  /// A path below a rank's working folder; empty for the folder itself.
  case rank(RankReference, path: String)

  /// Reads `PATH`, `JOB:PATH` or `JOB:RANK:PATH`. As with scp, what has a `/` before its first colon
  /// is a path.
  ///
  /// - Throws: `specInvalid` for an absolute path in a rank, or one with `..`.
  public init(_ text: String) throws(IorunError) {
    guard let colon = text.firstIndex(of: ":"), !text[..<colon].contains("/"),
      colon > text.startIndex
    else {
      self = .local(text)
      return
    }
    let job = String(text[..<colon])
    var path = text[text.index(after: colon)...]
    var rank = 0
    if let second = path.firstIndex(of: ":"), let number = Int(path[..<second]) {
      guard JobLimits.ranks.contains(number + 1) else {
        throw IorunError(.specInvalid, "'\(text)' names no rank", remedy: "Give JOB:RANK:PATH")
      }
      rank = number
      path = path[path.index(after: second)...]
    }
    guard !path.hasPrefix("/") else {
      throw IorunError(
        .specInvalid, "'\(path)' is absolute: only files in a rank's working folder are copied",
        remedy: "Give a path relative to the working folder, such as \(job):results/model.bin")
    }
    // The node refuses it, too, but nobody should have to wait for that.
    guard !path.split(separator: "/").contains("..") else {
      throw IorunError(
        .specInvalid, "'\(path)' may leave the rank's working folder",
        remedy: "Give a path without '..', relative to the working folder")
    }
    while path.hasPrefix("./") { path = path.dropFirst(2) }
    if path == "." { path = "" }
    self = .rank(RankReference(job: job, rank: rank), path: String(path))
  }
}
