/// A tar archive, made by hand so that it can also be harmful.
struct Tar {
  var bytes: [UInt8] = []

  mutating func add(
    _ path: String, type: Character = "0", content: [UInt8] = [], link: String = "",
    mode: Int = 0o644
  ) {
    var block = [UInt8](repeating: 0, count: 512)
    func put(_ text: String, _ offset: Int) {
      for (index, byte) in text.utf8.enumerated() { block[offset + index] = byte }
    }
    put(String(path.prefix(100)), 0)
    put(String(mode, radix: 8), 100)
    put(String(content.count, radix: 8), 124)
    put(String(type), 156)
    put(link, 157)
    put("ustar\u{0}00", 257)
    put("        ", 148)
    put(String(block.reduce(0) { $0 + Int($1) }, radix: 8) + "\u{0}", 148)
    bytes += block + content
    bytes += [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
  }

  var archive: [UInt8] { bytes + [UInt8](repeating: 0, count: 1024) }
}
