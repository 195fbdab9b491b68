/// Makes text from others safe to show: names, reasons and log lines come from machines that we do
/// not trust, and a terminal obeys what it is sent.
public enum TerminalText {
  /// One line without control characters: each becomes `?`, line breaks and tabs a space.
  public static func oneLine(_ text: some StringProtocol) -> String {
    var clean = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\n", "\t", "\r": clean.append(" ")
      case _ where isUnsafe(scalar): clean.append("?")
      default: clean.append(scalar)
      }
    }
    return String(clean)
  }

  /// A log line without what could harm a terminal. Colours (`ESC [ … m`) stay where
  /// `keepingColour`, and are switched off at the end of the line.
  static func logLine(_ line: String, keepingColour: Bool) -> String {
    var clean = String.UnicodeScalarView()
    var hasColour = false
    // What a program wrote over with a carriage return is not shown: our prefix would go with it.
    let parts = line.unicodeScalars.split(separator: "\r")
    var rest = parts.last ?? Substring().unicodeScalars
    while let scalar = rest.popFirst() {
      if scalar == "\u{1B}" {
        let sequence = dropSequence(&rest)
        if keepingColour, sequence.first == "[", sequence.last == "m" {
          clean.append("\u{1B}")
          clean.append(contentsOf: sequence)
          hasColour = true
        }
      } else if scalar == "\t" || !isUnsafe(scalar) {
        clean.append(scalar)
      }
    }
    return String(clean) + (hasColour ? "\u{1B}[0m" : "")
  }

  /// Control characters of both sets, and marks that turn the direction of text around.
  private static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7F..<0xA0, 0x202A...0x202E, 0x2066...0x2069: true
    default: false
    }
  }

  /// Takes the escape sequence that begins `rest` (ECMA-48 5.4 and 8.3) and returns it. A sequence
  /// that is never closed goes on to the end of the line.
  private static func dropSequence(
    _ rest: inout Substring.UnicodeScalarView
  ) -> String.UnicodeScalarView {
    var sequence = String.UnicodeScalarView()
    guard let kind = rest.popFirst() else { return sequence }
    sequence.append(kind)
    switch kind {
    case "[":
      while let scalar = rest.popFirst() {
        sequence.append(scalar)
        if (0x40...0x7E).contains(scalar.value) { break }
      }
    case "]", "P", "X", "^", "_":
      // Strings for the terminal itself: a title, a clipboard; ended by BEL or ESC \.
      while let scalar = rest.popFirst() {
        if scalar == "\u{7}" { break }
        if scalar == "\u{1B}", rest.first == "\\" {
          rest.removeFirst()
          break
        }
      }
    case " "..."/":
      if !rest.isEmpty { rest.removeFirst() }
    default: break
    }
    return sequence
  }
}
