/// Values by key, as many as are allowed: a new one takes the place of the one not asked for longest.
struct KeptOnes<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  private let most: Int
  private var numbers: [Key: Int] = [:]
  private var keys: [Key] = []
  private(set) var asked: [Int] = []
  /// How often one was asked for.
  private(set) var questions = 0
  var values: [Value] = []

  init(most: Int) { self.most = most }

  /// The place of a key's value, which is made where there is none.
  ///
  /// - Parameter replacing: is told the key of a value that another takes the place of.
  mutating func index(
    of key: Key, replacing: (Key) -> Void = { _ in }, make: () -> Value
  ) -> Int {
    questions += 1
    if let number = numbers[key] {
      asked[number] = questions
      return number
    }
    guard keys.count >= most, let oldest = asked.indices.min(by: { asked[$0] < asked[$1] }) else {
      numbers[key] = keys.count
      keys.append(key)
      values.append(make())
      asked.append(questions)
      return keys.count - 1
    }
    replacing(keys[oldest])
    numbers[keys[oldest]] = nil
    numbers[key] = oldest
    (keys[oldest], values[oldest], asked[oldest]) = (key, make(), questions)
    return oldest
  }

  /// The value of a key, without asking for it.
  subscript(key: Key) -> Value? { numbers[key].map { values[$0] } }
}
