internal import Foundation

/// Images of handwritten digits, 8 × 8 grey values each, with the digit that was meant.
public struct DigitsData: Sendable, Hashable {
  /// How many pixels an image has.
  public static let pixelCount = 64
  /// How many digits there are to tell apart.
  public static let classCount = 10

  /// The pixels of all images, one image after the other, from 0 (white) to 1 (black).
  public private(set) var pixels: [Float] = []
  /// The digit on each image.
  public private(set) var labels: [UInt8] = []

  /// How many images there are.
  public var count: Int { labels.count }

  /// Reads the images from a file of comma-separated numbers; see `parse`.
  ///
  /// - Throws: `TrainingError` where the file cannot be read or is wrong.
  public static func load(path: String) throws -> DigitsData {
    let file: [UInt8]
    do {
      file = try Array(Data(contentsOf: URL(fileURLWithPath: path)))
    } catch {
      throw TrainingError(
        "\(path) cannot be read (\(error.localizedDescription)); "
          + "run this in the folder with digits.csv")
    }
    return try parse(file, name: path)
  }

  /// Reads lines of 64 pixels (whole numbers, 0 to 16) and a label (0 to 9), and checks each.
  ///
  /// - Parameter name: how errors call the text.
  /// - Throws: `TrainingError` that names the first wrong line.
  public static func parse(_ text: [UInt8], name: String) throws -> DigitsData {
    var data = DigitsData()
    var lines = text.split(separator: newline, omittingEmptySubsequences: false)
    if lines.last?.isEmpty == true { lines.removeLast() }
    for (index, line) in lines.enumerated() {
      let numbers = try numbers(in: line, place: "\(name), line \(index + 1)")
      data.pixels += numbers.dropLast().map { Float($0) / 16 }
      data.labels.append(UInt8(numbers[pixelCount]))
    }
    guard data.count > 0 else { throw TrainingError("\(name) has no images") }
    return data
  }

  /// Puts `heldOut` images of a random choice aside, the same for one seed.
  ///
  /// - Throws: `TrainingError` where one of the two parts would be empty.
  public func split(heldOut: Int, seed: UInt64) throws -> (
    training: DigitsData, heldOut: DigitsData
  ) {
    guard (1..<max(count, 1)).contains(heldOut) else {
      throw TrainingError("\(heldOut) of \(count) images cannot be held out; some must be left")
    }
    var generator = SeededGenerator(seed: seed)
    let order = generator.permutation(of: count)
    return (images(order.dropFirst(heldOut)), images(order.prefix(heldOut)))
  }

  private func images(_ indices: ArraySlice<Int>) -> DigitsData {
    var data = DigitsData()
    for index in indices {
      let start = index * Self.pixelCount
      data.pixels += pixels[start..<start + Self.pixelCount]
      data.labels.append(labels[index])
    }
    return data
  }

  private static let newline = UInt8(ascii: "\n")

  private static func numbers(in line: ArraySlice<UInt8>, place: String) throws -> [Int] {
    let fields = line.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
    guard fields.count == pixelCount + 1 else {
      throw TrainingError(
        "\(place) has \(fields.count) numbers; \(pixelCount) pixels and a label are expected")
    }
    return try fields.enumerated().map { column, field in
      let isLabel = column == pixelCount
      let largest = isLabel ? classCount - 1 : 16
      // Some editors end lines with a carriage return.
      let digits = isLabel && field.last == UInt8(ascii: "\r") ? field.dropLast() : field
      guard let number = Int(String(decoding: digits, as: UTF8.self)),
        (0...largest).contains(number)
      else {
        let found = String(decoding: digits.prefix(20), as: UTF8.self)
        throw TrainingError(
          "\(place), number \(column + 1) is '\(found)'; "
            + "a whole number from 0 to \(largest) is expected")
      }
      return number
    }
  }
}
