internal import Foundation

/// The rows of a bench as text.
public enum KernelBenchTable {
  /// One line: name, threads, rate with its unit, cycles, and the ratio to what it is compared with.
  public static func line(_ row: KernelBench.Row) -> String {
    var text = pad(row.kernel, 34) + pad("\(row.threads)", 4) + pad(amount(row.rate, row.unit), 26)
    text += pad(row.cycles.map { number($0) + " cycles" } ?? "", 16)
    if let ratio = row.ratio, let name = row.referenceName {
      text += "\(number(ratio)) x \(name)"
    }
    while text.last == " " { text.removeLast() }
    return text
  }

  private static func amount(_ rate: Double, _ unit: String) -> String {
    if unit == "s" { return "\(number(rate * 1000)) ms" }
    for (name, factor) in [("G", 1e9), ("M", 1e6), ("k", 1e3)] where rate >= factor {
      return "\(number(rate / factor)) \(name) \(unit)"
    }
    return "\(number(rate)) \(unit)"
  }

  /// Three digits.
  private static func number(_ value: Double) -> String {
    let digits = abs(value) >= 100 ? 0 : abs(value) >= 10 ? 1 : abs(value) >= 0.1 ? 2 : 4
    return String(format: "%.\(digits)f", value)
  }

  private static func pad(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(1, width - text.count))
  }
}
