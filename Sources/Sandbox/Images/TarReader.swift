internal import IorunCore

/// One thing in a tar archive.
struct TarEntry: Hashable, Sendable {
  enum Kind: Hashable, Sendable {
    case file
    case folder
    case symbolicLink
    case hardLink
    /// A device, a pipe, or what we do not know: never unpacked.
    case other
  }

  var kind: Kind
  /// As the archive has it: may be anything.
  var path: String
  /// Where a link leads: may be anything.
  var link: String
  /// The lowest nine bits of its mode.
  var mode: UInt32
  var size: UInt64
  /// Where its bytes are in the archive.
  var offset: UInt64
}

/// Reads a tar archive (POSIX.1-2001 pax interchange format, and GNU's long names) that may be
/// damaged or meant to harm: each length is checked, and each header's sum.
struct TarReader: ~Copyable {
  /// The most bytes of an extended header.
  static let extendedLimit: UInt64 = 64 << 10

  private let file: OpenFile
  private var offset: UInt64 = 0

  init(_ file: consuming OpenFile) { self.file = file }

  /// The next entry; `nil` at the archive's end. Throws `imageInvalid`.
  mutating func next() throws -> TarEntry? {
    var extended: [String: String] = [:]
    // Extended headers belong to the entry that follows; there are at most three kinds.
    for _ in 0..<8 {
      let block = try file.read(upTo: 512, at: offset)
      if block.isEmpty || block.allSatisfy({ $0 == 0 }) { return nil }
      guard block.count == 512 else { throw Self.invalid("it ends within a header") }
      try Self.checkSum(block)
      let size = try Self.number(block[124..<136])
      let content = offset + 512
      let (padded, overflow) = size.addingReportingOverflow(511)
      guard !overflow, padded < 1 << 50 else { throw Self.invalid("a size is not possible") }
      offset = content + padded / 512 * 512
      switch block[156] {
      case UInt8(ascii: "x"), UInt8(ascii: "L"), UInt8(ascii: "K"):
        guard size <= Self.extendedLimit else { throw Self.invalid("a header is too large") }
        let bytes = try file.read(upTo: Int(size), at: content)
        guard bytes.count == Int(size) else { throw Self.invalid("it ends within a header") }
        switch block[156] {
        case UInt8(ascii: "L"): extended["path"] = Self.text(bytes[...])
        case UInt8(ascii: "K"): extended["linkpath"] = Self.text(bytes[...])
        default: extended.merge(try Self.records(bytes)) { $1 }
        }
      case UInt8(ascii: "g"): continue
      default: return try entry(block, extended, size: size, content: content)
      }
    }
    throw Self.invalid("it has headers without an entry")
  }

  /// Reads at most `count` bytes from `offset` of the archive.
  func read(upTo count: Int, at offset: UInt64) throws -> [UInt8] {
    try file.read(upTo: count, at: offset)
  }

  private mutating func entry(
    _ block: [UInt8], _ extended: [String: String], size: UInt64, content: UInt64
  ) throws -> TarEntry {
    var path = Self.text(block[0..<100])
    let prefix = Self.text(block[345..<500])
    // GNU's own format has times where POSIX has the prefix.
    if block[257..<263].elementsEqual("ustar\0".utf8), !prefix.isEmpty {
      path = prefix + "/" + path
    }
    let kind: TarEntry.Kind =
      switch block[156] {
      case 0, UInt8(ascii: "0"), UInt8(ascii: "7"): .file
      case UInt8(ascii: "1"): .hardLink
      case UInt8(ascii: "2"): .symbolicLink
      case UInt8(ascii: "5"): .folder
      default: .other
      }
    var length = size
    if let text = extended["size"] {
      guard let value = UInt64(text), value < 1 << 50 else { throw Self.invalid("a size is wrong") }
      length = value
      offset = content + (value + 511) / 512 * 512
    }
    return TarEntry(
      kind: kind, path: extended["path"] ?? path,
      link: extended["linkpath"] ?? Self.text(block[157..<257]),
      mode: UInt32(truncatingIfNeeded: try Self.number(block[100..<108])) & 0o777,
      size: kind == .file ? length : 0, offset: content)
  }

  private static func invalid(_ what: String) -> IorunError {
    IorunError(
      .imageInvalid, "a layer's archive is damaged: \(what)",
      remedy: "Build or fetch the image again")
  }

  private static func text(_ bytes: ArraySlice<UInt8>) -> String {
    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
  }

  // Octal digits, or GNU's base 256 with the first bit set.
  private static func number(_ bytes: ArraySlice<UInt8>) throws -> UInt64 {
    if let first = bytes.first, first & 0x80 != 0 {
      guard first == 0x80 else { throw invalid("a number is negative") }
      var value: UInt64 = 0
      for byte in bytes.dropFirst() {
        guard value < 1 << 55 else { throw invalid("a number is too large") }
        value = value << 8 | UInt64(byte)
      }
      return value
    }
    let digits = text(bytes).split(separator: " ").first ?? ""
    if digits.isEmpty { return 0 }
    guard let value = UInt64(digits, radix: 8) else { throw invalid("a number is none") }
    return value
  }

  private static func checkSum(_ block: [UInt8]) throws {
    var sum: UInt64 = 0
    for (index, byte) in block.enumerated() {
      sum += (148..<156).contains(index) ? 32 : UInt64(byte)
    }
    guard try number(block[148..<156]) == sum else { throw invalid("a header's sum is wrong") }
  }

  // "LENGTH KEY=VALUE\n", where the length counts all of it.
  private static func records(_ bytes: [UInt8]) throws -> [String: String] {
    var records: [String: String] = [:]
    var rest = bytes[...]
    while !rest.isEmpty {
      let digits = rest.prefix { $0 != UInt8(ascii: " ") }
      guard digits.count < 8, let length = Int(String(decoding: digits, as: UTF8.self)),
        length > digits.count + 1, length <= rest.count
      else { throw invalid("an extended header is none") }
      let record = rest.prefix(length).dropFirst(digits.count + 1).dropLast()
      guard let equals = record.firstIndex(of: UInt8(ascii: "=")) else {
        throw invalid("an extended header is none")
      }
      let key = String(decoding: record[..<equals], as: UTF8.self)
      records[key] = String(decoding: record[(equals + 1)...], as: UTF8.self)
      rest = rest.dropFirst(length)
    }
    return records
  }
}
