/// What a ``BinaryHeap`` holds.
public protocol HeapOrdered {
  /// True where this one comes out of a heap before the other one.
  func precedes(_ other: Self) -> Bool
}

/// A binary heap: what precedes all others is on top.
public struct BinaryHeap<Element: HeapOrdered> {
  @usableFromInline var elements: [Element] = []

  /// A heap without elements.
  @inlinable public init() {}

  /// How many elements it holds.
  @inlinable public var count: Int { elements.count }

  /// What is on top.
  @inlinable public var first: Element? { elements.first }

  /// Adds an element.
  @inlinable
  public mutating func insert(_ element: Element) {
    elements.append(element)
    var index = elements.count - 1
    while index > 0, elements[index].precedes(elements[(index - 1) / 2]) {
      elements.swapAt(index, (index - 1) / 2)
      index = (index - 1) / 2
    }
  }

  /// Takes out what is on top.
  @inlinable
  @discardableResult
  public mutating func popFirst() -> Element? {
    guard let first = elements.first, let last = elements.popLast() else { return nil }
    if !elements.isEmpty { replaceFirst(by: last) }
    return first
  }

  /// Puts an element in the place of what is on top. There must be one.
  @inlinable
  public mutating func replaceFirst(by element: Element) {
    elements[0] = element
    var index = 0
    while true {
      var least = index
      for child in [2 * index + 1, 2 * index + 2]
      where child < elements.count && elements[child].precedes(elements[least]) {
        least = child
      }
      if least == index { return }
      elements.swapAt(index, least)
      index = least
    }
  }
}

extension BinaryHeap: Sendable where Element: Sendable {}
