import Foundation
import Testing

@testable import DigitsTraining

@Suite("what a training leaves")
struct ResultFileTests {
  private let network = Network(shape: .digits, seed: 5)

  @Test("a model is the same when it is read again")
  func modelRoundTrip() throws {
    let bytes = ModelFile.encode(network)
    #expect(bytes.count == 20 + 4 * 4810)
    #expect(try ModelFile.decode(bytes) == network)
    // A slice of other data does not begin at index 0.
    #expect(try ModelFile.decode((Data([1, 2, 3]) + bytes)[3...]) == network)
  }

  @Test("a model's numbers are little-endian on every machine")
  func byteOrder() throws {
    let shape = NetworkShape(inputs: 1, hidden: 1, outputs: 1)
    let bytes = ModelFile.encode(try Network(shape: shape, parameters: [1, 0, 0, -2]))
    #expect(Array(bytes[8..<20]) == [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0])
    #expect(Array(bytes[20..<24]) == [0, 0, 0x80, 0x3F])
    #expect(Array(bytes[32..<36]) == [0, 0, 0, 0xC0])
  }

  @Test("bytes that are no whole model are refused")
  func damagedModel() {
    let bytes = ModelFile.encode(network)
    var hugeLayer = bytes
    hugeLayer[11] = 0xFF
    var otherMagic = bytes
    otherMagic[0] = 0
    for damaged in [
      Data(), bytes.prefix(19), bytes.dropLast(), bytes + Data([0]), hugeLayer, otherMagic,
    ] {
      #expect(throws: TrainingError.self) { try ModelFile.decode(damaged) }
    }
  }

  @Test("model and metrics are written whole, over what was there")
  func files() throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("train-digits-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let model = folder.appendingPathComponent("model.bin")
    let metrics = folder.appendingPathComponent("metrics.json")
    try Data("old".utf8).write(to: model)

    try ModelFile.write(network, to: model.path)
    let epochs = [EpochMetrics(epoch: 1, loss: 0.5, accuracy: 0.75)]
    let written = MetricsFile(worldSize: 3, result: .init(network: network, epochs: epochs))
    try written.write(to: metrics.path)

    #expect(try ModelFile.decode(Data(contentsOf: model)) == network)
    let read = try JSONDecoder().decode(MetricsFile.self, from: Data(contentsOf: metrics))
    #expect(read == written)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).count == 2)
  }

  @Test("a folder that is not there is named when nothing can be written")
  func noFolder() {
    let error = #expect(throws: TrainingError.self) {
      try ModelFile.write(network, to: "/nowhere/model.bin")
    }
    #expect(error?.description.hasPrefix("/nowhere/model.bin cannot be written") == true)
  }

  @Test("an epoch's line reads as the README shows it")
  func line() {
    let epoch = EpochMetrics(epoch: 3, loss: 0.12344, accuracy: 0.96111)
    #expect(epoch.line(of: 30) == "epoch 3/30  loss 0.1234  accuracy 96.1 %  (held out)")
  }
}
