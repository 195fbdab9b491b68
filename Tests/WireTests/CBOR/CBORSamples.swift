import Foundation

/// A value with one of everything that arguments and results are made of.
struct Sample: Codable, Hashable {
  struct Inner: Codable, Hashable {
    var name: String
    var parts: [Inner]
  }

  enum Shape: Codable, Hashable {
    case none
    case circle(radius: Double)
    case box(Int, Int)
    case labelled(Inner, note: String?)
  }

  struct Nothing: Codable, Hashable {}

  var flag = true
  var int = -1
  var int8 = Int8.min
  var int16 = Int16.max
  var int32 = Int32.min
  var int64 = Int64.min
  var uint = UInt.max
  var uint8 = UInt8.max
  var uint16: UInt16 = 256
  var uint32 = UInt32.max
  var uint64 = UInt64.max
  var float = Float.leastNonzeroMagnitude
  var double = -Double.greatestFiniteMagnitude
  var text = "iorun ✓ \u{0}"
  var bytes: [UInt8] = [0, 255, 7]
  var data = Data([1, 2, 3])
  var floats: [Float] = [0, -0.5, .infinity]
  var doubles: [Double] = [1.25, -.pi]
  var absent: Int?
  var present: [UInt8]? = [9]
  var nested = Inner(name: "a", parts: [Inner(name: "b", parts: []), Inner(name: "", parts: [])])
  var shapes: [Shape] = [
    .none, .circle(radius: 2), .box(1, -2), .labelled(Inner(name: "x", parts: []), note: nil),
  ]
  var byName = ["one": 1, "two": 2]
  var byNumber: [Int: [String]] = [-3: ["x"], 4: []]
  var optionals: [String?] = ["a", nil, "b"]
  var nothing = Nothing()
  var matrix: [[Float]] = [[1, 2], []]
  var unique: Set<Int> = [1, 5]
  var link = URL(filePath: "/a/b c")
}

/// A subclass that keeps its superclass under `super`.
class Animal: Codable {
  var legs: Int
  init(legs: Int) { self.legs = legs }
}

final class Dog: Animal {
  var name: String

  private enum CodingKeys: CodingKey { case name }

  init(name: String) {
    self.name = name
    super.init(legs: 4)
  }

  required init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    name = try container.decode(String.self, forKey: .name)
    try super.init(from: container.superDecoder())
  }

  override func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try super.encode(to: container.superEncoder())
    try container.encode(name, forKey: .name)
  }
}

/// A value that contains itself `depth` times.
indirect enum Nest: Codable, Hashable {
  case end
  case more([Nest])

  init(depth: Int) { self = (0..<depth).reduce(.end) { nest, _ in .more([nest]) } }

  init(from decoder: any Decoder) throws {
    self = .more(try decoder.singleValueContainer().decode([Nest].self))
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.unkeyedContainer()
    if case .more(let inner) = self { for nest in inner { try container.encode(nest) } }
  }
}
