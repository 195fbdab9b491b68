/// Numbers for values that many rows share.
struct InternTable<Value: Hashable & Sendable>: Sendable {
  private(set) var values: [Value] = []
  private var numbers: [Value: UInt32] = [:]

  /// The value's number, the same each time.
  mutating func number(of value: Value) -> UInt32 {
    if let known = numbers[value] { return known }
    let number = UInt32(values.count)
    numbers[value] = number
    values.append(value)
    return number
  }

  /// The number of a value that is known already.
  func known(_ value: Value) -> UInt32? { numbers[value] }

  subscript(number: UInt32) -> Value { values[Int(number)] }

  /// For each number whether `holds` is true of its value.
  func verdicts(_ holds: (Value) -> Bool) -> [Bool] { values.map(holds) }
}
