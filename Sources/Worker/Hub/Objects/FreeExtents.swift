/// The unused parts of an arena, by offset: first fit from the low end, neighbours merge. Low offsets
/// first, because their pages are warm.
struct FreeExtents: Sendable {
  private struct Extent: Sendable {
    var offset: Int64
    var length: Int64
    var end: Int64 { offset + length }
  }

  private var extents: [Extent]
  /// The sum of all parts.
  private(set) var total: Int64

  init(capacity: Int64) {
    extents = [Extent(offset: 0, length: capacity)]
    total = capacity
  }

  /// The longest part.
  var longest: Int64 { extents.lazy.map(\.length).max() ?? 0 }

  /// Takes `length` from the first part that has it; `nil` where none has.
  mutating func take(_ length: Int64) -> Int64? {
    guard let index = extents.firstIndex(where: { $0.length >= length }) else { return nil }
    let offset = extents[index].offset
    if extents[index].length == length {
      extents.remove(at: index)
    } else {
      extents[index].offset += length
      extents[index].length -= length
    }
    total -= length
    return offset
  }

  /// Gives a part back that was taken.
  mutating func give(_ offset: Int64, _ length: Int64) {
    total += length
    var index = extents.partitioningIndex { $0.offset >= offset }
    assert(index == extents.count || extents[index].offset >= offset + length)
    assert(index == 0 || extents[index - 1].end <= offset)
    if index > 0, extents[index - 1].end == offset {
      index -= 1
      extents[index].length += length
    } else {
      extents.insert(Extent(offset: offset, length: length), at: index)
    }
    if index + 1 < extents.count, extents[index].end == extents[index + 1].offset {
      extents[index].length += extents[index + 1].length
      extents.remove(at: index + 1)
    }
  }
}

extension Array {
  /// The first index whose element satisfies a predicate that no earlier element satisfies.
  fileprivate func partitioningIndex(where belongs: (Element) -> Bool) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if belongs(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
