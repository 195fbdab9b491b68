internal import DigitsTraining

/// Reads the command line: `--epochs N` is all there is.
enum Arguments {
  static func read(_ arguments: some Collection<String>) throws -> TrainingSettings {
    var settings = TrainingSettings()
    var rest = arguments[...]
    while let name = rest.popFirst() {
      guard name == "--epochs", let epochs = rest.popFirst().flatMap({ Int($0) }), epochs > 0 else {
        throw TrainingError(
          "the arguments '\(arguments.joined(separator: " "))' are not understood; "
            + "the usage is: train-digits [--epochs N], with N above 0")
      }
      settings.epochs = epochs
    }
    return settings
  }
}
