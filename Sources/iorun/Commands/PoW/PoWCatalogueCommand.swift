internal import ArgumentParser
internal import Foundation
internal import IorunClient
internal import IorunCore
internal import IorunPoW

/// `iorun pow catalogue`: what models are expected to do.
struct PoWCatalogueCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "catalogue",
    abstract: "Print what models of processors and GPUs are expected to do, and who says so.",
    discussion: """
      Rates of processors are of one core. GPUs have their makers' figures only, until there are \
      measurements (iorun pow calibrate): a device without a rate stays pending.
      """)

  @Flag(help: "Print one JSON object (docs/JSON.md).")
  var json = false

  func run() async throws {
    let catalogue = ModelCatalogue.builtIn
    if json {
      Output.write(try JSONOutput.line(catalogue))
      return
    }
    for model in catalogue.models {
      Output.write("\(model.name)\n")
      if let memory = model.memoryBytes, let compute = model.compute, let source = model.source {
        let peak = model.peakMultiplicationsPerSecond.map { String(format: "%.0f T", $0 / 1e12) }
        Output.write(
          "  \(Bytes(memory)), compute \(compute), at most \(peak ?? "?") multiplications/s: "
            + "\(source)\n")
      }
      for rate in model.rates {
        let amount = String(format: "%.1f M %@", rate.median / 1e6, rate.kind.unit)
        Output.write(
          "  \(rate.kind.rawValue): \(amount), \(rate.devices) devices: \(rate.source)\n")
      }
    }
  }
}

/// `iorun pow calibrate`: an entry of the catalogue from measurements.
struct PoWCalibrateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "calibrate",
    abstract: "Propose a model's entry in the catalogue from measured, attested devices.",
    discussion: """
      Reads a JSON array of samples (docs/JSON.md): device, model, kind, rates, is_attested. A kind \
      needs 20 attested devices; a rate that is there already moves by a tenth. Prints the entry, or \
      with --catalogue the whole catalogue with it, for iorun head --catalogue; nothing is changed.
      """)

  @Argument(help: "The samples.", completion: .file())
  var samples: String

  @Option(help: "The model, as the samples name it.")
  var model: String

  @Option(help: "The catalogue that is in use (iorun pow catalogue --json).", completion: .file())
  var catalogue: String?

  func run() async throws {
    let samples = try PoWFiles.read([Calibration.Sample].self, samples)
    let date = ISO8601DateFormatter().string(from: Date()).prefix(10)
    var known = try catalogue.map(PoWFiles.catalogue) ?? ModelCatalogue.builtIn
    let entry = try Calibration.propose(
      model, from: samples, present: known[model], date: String(date))
    guard catalogue != nil else {
      Output.write(try JSONOutput.line(entry))
      return
    }
    known.insert(entry)
    Output.write(try JSONOutput.line(known))
  }
}

/// `iorun pow disk`: what a disk gives.
struct PoWDiskCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "disk",
    abstract: "Measure a disk past the page cache: write, read, compare, and read at random.",
    discussion: """
      A measurement, not a proof: the device times itself. The file has no name and is gone with \
      the command.
      """)

  @Argument(help: "A folder of the disk.", completion: .directory)
  var folder: String

  @Option(help: "How much to write, for example 4GiB; twice as much must be free.")
  var size = "1GiB"

  @Option(name: .customLong("random-reads"), help: "How many blocks of 4 KiB to read at random.")
  var randomReads = 1000

  @Flag(help: "Print one JSON object (docs/JSON.md).")
  var json = false

  func run() async throws {
    guard let bytes = Bytes(size), let count = Int(exactly: bytes.rawValue) else {
      throw IorunError(.specInvalid, "'\(size)' is no amount of bytes")
    }
    let probe = try DiskProbe(folder: folder, bytes: count, randomReads: randomReads)
    let result = try await Blocking.run { try probe.run() }
    if json {
      Output.write(try JSONOutput.line(result))
      return
    }
    func megabytes(_ rate: Double) -> String { String(format: "%.0f MB/s", rate / 1e6) }
    Output.write(
      """
      \(Bytes(result.freeBytes)) free of \(Bytes(result.capacityBytes))
      write \(megabytes(result.writeBytesPerSecond)), read \(megabytes(result.readBytesPerSecond)), \
      \(Int(result.randomReadsPerSecond)) random reads/s of 4 KiB
      \(result.isDirect ? "past the page cache" : "the file system has no O_DIRECT: its cache was measured")

      """)
  }
}
