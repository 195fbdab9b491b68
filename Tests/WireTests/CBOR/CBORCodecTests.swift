import Foundation
import IorunCore
import IorunWire
import Testing

/// What goes in comes out, and the bytes are those of the standard.
struct CBORCodecTests {
  private func roundTrip<Value: Codable & Equatable>(_ value: Value) throws {
    let bytes = try CBOREncoder.encode(value)
    #expect(try CBORDecoder.decode(Value.self, from: bytes) == value)
  }

  private func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  @Test func `a value with one of everything comes back equal`() throws { try roundTrip(Sample()) }

  @Test func `every integer type keeps its extremes`() throws {
    func both<Number: FixedWidthInteger & Codable>(_: Number.Type) throws {
      for value in [Number.min, 0, 1, 23, 24, 100, Number.max] { try roundTrip(value) }
    }
    try both(Int8.self)
    try both(Int16.self)
    try both(Int32.self)
    try both(Int64.self)
    try both(Int.self)
    try both(UInt8.self)
    try both(UInt16.self)
    try both(UInt32.self)
    try both(UInt64.self)
    try both(UInt.self)
  }

  @Test func `floating-point numbers keep their bits`() throws {
    for value in [0, -0.0, 1.1, .infinity, -.infinity, .leastNonzeroMagnitude, .nan, .pi] {
      let back = try CBORDecoder.decode(Double.self, from: CBOREncoder.encode(value))
      #expect(back.bitPattern == value.bitPattern)
    }
    for value: Float in [0, -0.0, 1.1, .infinity, .leastNonzeroMagnitude, .nan, .pi] {
      let back = try CBORDecoder.decode(Float.self, from: CBOREncoder.encode(value))
      #expect(back.bitPattern == value.bitPattern)
    }
  }

  @Test func `optionals, also of optionals' containers, come back as they were`() throws {
    try roundTrip(Int?.none)
    try roundTrip(Int?.some(3))
    try roundTrip([UInt8]?.some([1]))
    try roundTrip([Float]?.some([1]))
    try roundTrip([Int?]([1, nil]))
    try roundTrip(["a": Int?.some(1)])
  }

  @Test func `a struct without properties and an empty array come back`() throws {
    try roundTrip(Sample.Nothing())
    try roundTrip([Sample.Nothing(), Sample.Nothing()])
    try roundTrip([String]())
    try roundTrip([Float]())
    try roundTrip([UInt8]())
    try roundTrip([String: Int]())
  }

  @Test func `a subclass keeps what its superclass encodes`() throws {
    let dog = try CBORDecoder.decode(Dog.self, from: CBOREncoder.encode(Dog(name: "Rex")))
    #expect(dog.name == "Rex")
    #expect(dog.legs == 4)
  }

  @Test(
    "integers have the bytes of RFC 8949, appendix A",
    arguments: [
      (0, "00"), (1, "01"), (10, "0a"), (23, "17"), (24, "1818"), (25, "1819"), (100, "1864"),
      (1000, "1903e8"), (1_000_000, "1a000f4240"), (1_000_000_000_000, "1b000000e8d4a51000"),
      (-1, "20"), (-10, "29"), (-100, "3863"), (-1000, "3903e7"),
    ])
  func integerBytes(_ value: Int, _ expected: String) throws {
    #expect(hex(try CBOREncoder.encode(value)) == expected)
  }

  @Test func `other values have the bytes of RFC 8949, appendix A`() throws {
    #expect(hex(try CBOREncoder.encode(UInt64.max)) == "1bffffffffffffffff")
    #expect(hex(try CBOREncoder.encode(1.1)) == "fb3ff199999999999a")
    #expect(hex(try CBOREncoder.encode(Float(100_000))) == "fa47c35000")
    #expect(hex(try CBOREncoder.encode(false)) == "f4")
    #expect(hex(try CBOREncoder.encode(true)) == "f5")
    #expect(hex(try CBOREncoder.encode(Int?.none)) == "f6")
    #expect(hex(try CBOREncoder.encode("")) == "60")
    #expect(hex(try CBOREncoder.encode("IETF")) == "6449455446")
    #expect(hex(try CBOREncoder.encode("\u{00fc}")) == "62c3bc")
    #expect(hex(try CBOREncoder.encode("\u{10151}")) == "64f0908591")
    #expect(hex(try CBOREncoder.encode([UInt8]([1, 2, 3, 4]))) == "4401020304")
    #expect(hex(try CBOREncoder.encode(Data([1, 2, 3, 4]))) == "4401020304")
    #expect(hex(try CBOREncoder.encode([Int]())) == "9fff")
    #expect(hex(try CBOREncoder.encode(["a": 1])) == "bf616101ff")
  }

  @Test func `floats travel as a typed array of RFC 8746`() throws {
    #expect(hex(try CBOREncoder.encode([Float(1)])) == "d855440000803f")
    #expect(hex(try CBOREncoder.encode([1.0])) == "d85648000000000000f03f")
  }

  @Test func `definite arrays and maps, as other encoders write them, are read`() throws {
    // [1, [2, 3], [4, 5]] without its first element, and {"a": 1, "b": 2}, of appendix A.
    #expect(
      try CBORDecoder.decode([[Int]].self, from: [0x82, 0x82, 2, 3, 0x82, 4, 5]) == [
        [2, 3], [4, 5],
      ]
    )
    #expect(
      try CBORDecoder.decode([String: Int].self, from: [0xa2, 0x61, 0x61, 1, 0x61, 0x62, 2])
        == ["a": 1, "b": 2])
    // Numbers one by one where a typed array is expected.
    #expect(
      try CBORDecoder.decode([Float].self, from: [0x82, 1, 0xfa, 0x3f, 0, 0, 0]) == [1, 0.5])
  }

  @Test func `a sequence is read item by item`() throws {
    let bytes =
      try CBOREncoder.encode(1) + CBOREncoder.encode("two") + CBOREncoder.encode([3.0])
    var decoder = CBORDecoder(bytes)
    #expect(try decoder.next(Int.self) == 1)
    #expect(try decoder.next(String.self) == "two")
    #expect(try decoder.next([Double].self) == [3])
    #expect(decoder.isAtEnd)
  }

  @Test func `nesting up to the limit is written, and deeper nesting is refused`() throws {
    let deepest = try CBOREncoder.encode(Nest(depth: WireLimits.codecDepth - 1))
    #expect(try CBORDecoder.decode(Nest.self, from: deepest) != .end)
    #expect {
      try CBOREncoder.encode(Nest(depth: WireLimits.codecDepth))
    } throws: { ($0 as? IorunError)?.code == .tooLarge }
  }
}
