internal import DigitsTraining

/// Reads the command line: `--epochs N` is all there is.
enum Arguments {
  static func read(_ arguments: some Collection<String>) throws -> TrainingSettings {
    var settings = TrainingSettings()
    var rest = arguments[...]
    while let name = rest.popFirst() {
      guard name == "--epochs", let value = rest.popFirst(), let epochs = Int(value), epochs > 0
      else {
        throw TrainingError("'\(name)' is not understood; the usage is: train-digits [--epochs N]")
      }
      settings.epochs = epochs
    }
    return settings
  }
}
