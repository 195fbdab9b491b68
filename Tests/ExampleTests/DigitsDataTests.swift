import Foundation
import Testing

@testable import DigitsTraining

@Suite("digits.csv")
struct DigitsDataTests {
  @Test("the committed file has 1,797 images with pixels from 0 to 1 and all ten digits")
  func committedFile() throws {
    let data = try DigitsData.load(path: ExampleFolder.path("train-digits/digits.csv"))
    #expect(data.count == 1797)
    #expect(data.pixels.count == 1797 * 64)
    #expect(data.pixels.min() == 0 && data.pixels.max() == 1)
    #expect(Set(data.labels) == Set(0...9))
  }

  @Test("a split holds 360 images out, trains on the other 1,437, and loses none")
  func split() throws {
    let data = try DigitsData.load(path: ExampleFolder.path("train-digits/digits.csv"))
    let (training, heldOut) = try data.split(heldOut: 360, seed: 1)
    #expect(training.count == 1437 && heldOut.count == 360)
    #expect(Self.images(training).union(Self.images(heldOut)) == Self.images(data))
    #expect(Set(heldOut.labels) == Set(0...9))
    #expect((training.labels + heldOut.labels).sorted() == data.labels.sorted())
  }

  @Test("one seed gives one split, another seed another")
  func seeds() throws {
    let data = try DigitsData.load(path: ExampleFolder.path("train-digits/digits.csv"))
    let first = try data.split(heldOut: 360, seed: 1).heldOut
    #expect(try data.split(heldOut: 360, seed: 1).heldOut == first)
    #expect(try data.split(heldOut: 360, seed: 2).heldOut != first)
  }

  @Test("lines may end as on any system, and the last one without an end")
  func lineEnds() throws {
    let line = Self.line(label: "7")
    let expected = try DigitsData.parse(Array("\(line)\n\(line)\n".utf8), name: "x")
    #expect(expected.labels == [7, 7])
    #expect(try DigitsData.parse(Array("\(line)\r\n\(line)\r\n".utf8), name: "x") == expected)
    #expect(try DigitsData.parse(Array("\(line)\n\(line)".utf8), name: "x") == expected)
  }

  @Test(
    "a wrong line is refused by its number and what is wrong with it",
    arguments: [
      ("1,2,3", "line 2 has 3 numbers"),
      ("", "line 2 has 1 numbers"),
      (line(label: "10"), "line 2, number 65 is '10'; a whole number from 0 to 9"),
      (line(label: "-1"), "line 2, number 65 is '-1'"),
      (line(label: ""), "line 2, number 65 is ''"),
      (line(label: "1", firstPixel: "17"), "line 2, number 1 is '17'; a whole number from 0 to 16"),
      (line(label: "1", firstPixel: "0.5"), "line 2, number 1 is '0.5'"),
      (
        line(label: "1", firstPixel: "99999999999999999999999"),
        "number 1 is '99999999999999999999'"
      ),
    ])
  func wrongLine(line: String, message: String) {
    let text = "\(Self.line(label: "3"))\n\(line)\n"
    let error = #expect(throws: TrainingError.self) {
      try DigitsData.parse(Array(text.utf8), name: "digits.csv")
    }
    #expect(error?.description.contains(message) == true, "\(String(describing: error))")
  }

  @Test("a file that is empty or not there is refused by its name")
  func noImages() {
    #expect(throws: TrainingError("digits.csv has no images")) {
      try DigitsData.parse([], name: "digits.csv")
    }
    let error = #expect(throws: TrainingError.self) {
      try DigitsData.load(path: "/nowhere/digits.csv")
    }
    #expect(error?.description.hasPrefix("/nowhere/digits.csv cannot be read") == true)
  }

  @Test("a split must leave images on both sides", arguments: [-1, 0, 2, 3])
  func emptySplit(heldOut: Int) throws {
    let text = "\(Self.line(label: "3"))\n\(Self.line(label: "4"))\n"
    let data = try DigitsData.parse(Array(text.utf8), name: "x")
    #expect(throws: TrainingError.self) { try data.split(heldOut: heldOut, seed: 1) }
  }

  private static func line(label: String, firstPixel: String = "16") -> String {
    ([firstPixel] + Array(repeating: "0", count: 63) + [label]).joined(separator: ",")
  }

  private static func images(_ data: DigitsData) -> Set<[Float]> {
    Set((0..<data.count).map { Array(data.pixels[$0 * 64..<($0 + 1) * 64]) })
  }
}
