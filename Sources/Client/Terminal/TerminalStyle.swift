public import Foundation

/// What the place where output goes can show: rewritten lines, colour, how many columns.
public struct TerminalStyle: Sendable, Hashable {
  /// True where a person watches; false for a pipe or a file.
  public var isTerminal: Bool
  /// True where colour may be used.
  public var usesColour: Bool
  /// The width to fit into; `nil` for no limit.
  public var columns: Int?

  /// Describes an output.
  public init(isTerminal: Bool, usesColour: Bool, columns: Int?) {
    self.isTerminal = isTerminal
    self.usesColour = usesColour
    self.columns = columns
  }

  /// A pipe or a file: no colour, no limit.
  public static let plain = TerminalStyle(isTerminal: false, usesColour: false, columns: nil)

  /// Looks at a file descriptor, and at `COLUMNS`, `NO_COLOR` (https://no-color.org) and `TERM`.
  ///
  /// `COLUMNS` counts for a terminal only: what goes into a file is never cut.
  public static func detect(
    fileDescriptor: Int32, environment: [String: String] = ProcessInfo.processInfo.environment
  ) -> TerminalStyle {
    guard isatty(fileDescriptor) == 1 else { return .plain }
    var size = winsize()
    let known = ioctl(fileDescriptor, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
    return resolve(measuredColumns: known ? Int(size.ws_col) : nil, environment: environment)
  }

  /// The style of a terminal that is so wide, as the environment changes it.
  static func resolve(measuredColumns: Int?, environment: [String: String]) -> TerminalStyle {
    let isDumb = environment["TERM"] == "dumb"
    let noColour = !(environment["NO_COLOR"] ?? "").isEmpty
    let stated = environment["COLUMNS"].flatMap(Int.init).flatMap { $0 >= 20 ? $0 : nil }
    return TerminalStyle(
      isTerminal: !isDumb, usesColour: !isDumb && !noColour,
      columns: stated ?? measuredColumns ?? 80)
  }
}
