internal import IorunCore
internal import IorunCrypto

/// The serial number of the machine's board, as its firmware tells it (DMI; SMBIOS 3.7, 7.3).
enum BoardSerial {
  /// What firmware says where nobody wrote a number.
  private static let fillers: Set<String> = [
    "", "none", "not specified", "not applicable", "default string", "to be filled by o.e.m.",
    "0", "unknown", "n/a", "system serial number",
  ]

  /// The digest of the board's maker and number: two nodes with the same are on one board, and
  /// nobody learns the number from it. `nil` where there is none, or only root may read it.
  ///
  /// - Parameter folder: where the kernel shows the tables.
  static func digest(folder: String = "/sys/class/dmi/id") -> Digest? {
    func field(_ name: String) -> String? {
      KernelFile.text("\(folder)/\(name)").map { text in
        String(text.prefix(256)).split(whereSeparator: \.isWhitespace).joined(separator: " ")
      }
    }
    guard let serial = field("board_serial"), !fillers.contains(serial.lowercased()),
      serial.contains(where: { $0 != "0" && $0 != "." && $0 != "-" })
    else { return nil }
    let maker = field("board_vendor") ?? ""
    return SHA256.digest(of: Array("iorun/pow/1|board|\(maker)|\(serial)".utf8))
  }
}
