/// A look at the mangled name of a method (Swift ABI, Mangling.rst): is it one of a type?
struct MangledMethod {
  private let name: Substring.UTF8View
  private var place: Substring.UTF8View.Index

  /// True for the name of a method of the type itself: not of another one, nor of one that is nested in
  /// it, whose methods' names begin with that of the type, too.
  static func isMethod(_ target: String, of type: String) -> Bool {
    rest(of: target, after: type).map { !isOfNestedType($0) } ?? false
  }

  /// What follows the name of the type in that of a method; `nil` where it is not there. A private type is
  /// named by an address in the runtime (`13$56185be31230yXZ6HiddenC`), and by the compiler with a hash of
  /// its file (`6Hidden33_EFF83A…LLC`).
  private static func rest(of target: String, after type: String) -> Substring.UTF8View? {
    var target = target[...].utf8
    var type = type[...].utf8
    while let dollar = type.firstIndex(of: UInt8(ascii: "$")) {
      let before = type[..<dollar].reversed().prefix { (0x30...0x39).contains($0) }.count
      let start = type.index(dollar, offsetBy: -before)
      guard target.starts(with: type[..<start]) else { return nil }
      target = target.dropFirst(type[..<start].count)
      var ours = MangledMethod(name: type, place: start)
      guard ours.skipIdentifier(), ours.take("y"), ours.take("X"), ours.take("Z") else {
        return nil
      }
      let name = ours.place
      guard ours.skipIdentifier(), target.starts(with: type[name..<ours.place]) else { return nil }
      target = target.dropFirst(type[name..<ours.place].count)
      var theirs = MangledMethod(name: target, place: target.startIndex)
      guard theirs.skipIdentifier(), theirs.take("L"), theirs.take("L") else { return nil }
      target = target[theirs.place...]
      type = type[ours.place...]
    }
    return target.starts(with: type) ? target.dropFirst(type.count) : nil
  }

  /// True where what follows a type's name begins with a nested type's.
  static func isOfNestedType(_ rest: Substring.UTF8View) -> Bool {
    var method = MangledMethod(name: rest, place: rest.startIndex)
    guard method.skipIdentifier() else { return false }
    if method.isAtKindOfType { return true }
    // A private type has a second identifier, and `LL` behind it.
    guard method.skipIdentifier(), method.take("L"), method.take("L") else { return false }
    return method.isAtKindOfType
  }

  private var next: UInt8? { place < name.endIndex ? name[place] : nil }

  /// Of classes, and so of actors, structures and enumerations. No method has one of these behind its name.
  private var isAtKindOfType: Bool {
    next.map { Array("CVO".utf8).contains($0) } ?? false
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard next == UInt8(ascii: character) else { return false }
    place = name.index(after: place)
    return true
  }

  /// Passes an identifier, whose words may be those of earlier ones, as `Demangler::demangleIdentifier`
  /// does. False where there is none.
  private mutating func skipIdentifier() -> Bool {
    guard let first = next, (0x30...0x39).contains(first) else { return false }
    var hasWords = false
    var isPunycoded = false
    if take("0") {
      isPunycoded = take("0")
      hasWords = !isPunycoded
    }
    repeat {
      while hasWords, let letter = next, (0x41...0x5a).contains(letter & 0xdf) {
        place = name.index(after: place)
        // An upper-case letter is the last word.
        if letter & 0x20 == 0 { hasWords = false }
      }
      if take("0") { break }
      var count = 0
      while let digit = next, (0x30...0x39).contains(digit), count < 100_000 {
        count = count * 10 + Int(digit - 0x30)
        place = name.index(after: place)
      }
      guard count > 0 else { return false }
      if isPunycoded { _ = take("_") }
      guard let end = name.index(place, offsetBy: count, limitedBy: name.endIndex) else {
        return false
      }
      place = end
    } while hasWords
    return true
  }
}
