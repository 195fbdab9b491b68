internal import Foundation

/// All that a run found, as text or as one JSON object.
struct Report: Encodable {
  var machine: Machine
  var calls: [LineResult]?
  var local: LocalResult?
  var peers: PeersResult?

  /// Prints it.
  mutating func finish(asJSON: Bool) throws {
    machine.finish()
    if asJSON {
      let encoder = JSONEncoder()
      encoder.keyEncodingStrategy = .convertToSnakeCase
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      print(String(decoding: try encoder.encode(self), as: UTF8.self))
      return
    }
    let parts = [
      MachineText.render(machine), calls.map(CallsText.render), local.map(LocalText.render),
      peers.map(\.text),
    ]
    print(parts.compactMap(\.self).joined(separator: "\n\n"))
  }
}
