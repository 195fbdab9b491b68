public import Foundation

/// The form in which a network is kept: eight bytes `DIGITS01`, the numbers of inputs, hidden units
/// and outputs as 32-bit integers, then the parameters as 32-bit floats, all little-endian.
public enum ModelFile {
  private static let magic = Array("DIGITS01".utf8)
  private static let headerSize = 20
  /// Larger layers are a damaged file.
  private static let largestLayer = 65_536

  /// The bytes of a network.
  public static func encode(_ network: Network) -> Data {
    var bytes = Data(magic)
    for size in [network.shape.inputs, network.shape.hidden, network.shape.outputs] {
      append(UInt32(size), to: &bytes)
    }
    for parameter in network.parameters { append(parameter.bitPattern, to: &bytes) }
    return bytes
  }

  /// The network of such bytes.
  ///
  /// - Throws: `TrainingError` for anything else than a whole model.
  public static func decode(_ bytes: Data) throws -> Network {
    let bytes = Array(bytes)
    guard bytes.count >= headerSize, Array(bytes.prefix(magic.count)) == magic else {
      throw TrainingError("this is not a model of train-digits")
    }
    let sizes = (0..<3).map { Int(word(bytes, at: magic.count + 4 * $0)) }
    guard sizes.allSatisfy({ (1...largestLayer).contains($0) }) else {
      throw TrainingError("the model is damaged: its layers have the sizes \(sizes)")
    }
    let shape = NetworkShape(inputs: sizes[0], hidden: sizes[1], outputs: sizes[2])
    guard bytes.count == headerSize + 4 * shape.parameterCount else {
      throw TrainingError(
        "the model has \(bytes.count) bytes; \(headerSize + 4 * shape.parameterCount) are expected")
    }
    return try Network(
      shape: shape,
      parameters: (0..<shape.parameterCount).map {
        Float(bitPattern: word(bytes, at: headerSize + 4 * $0))
      })
  }

  /// Writes a network, the whole file or none of it.
  ///
  /// - Throws: `TrainingError` where the file cannot be written.
  public static func write(_ network: Network, to path: String) throws {
    try WholeFile.write(encode(network), to: path)
  }

  private static func append(_ word: UInt32, to bytes: inout Data) {
    withUnsafeBytes(of: word.littleEndian) { bytes.append(contentsOf: $0) }
  }

  private static func word(_ bytes: [UInt8], at offset: Int) -> UInt32 {
    (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << (8 * UInt32($1)) }
  }
}
