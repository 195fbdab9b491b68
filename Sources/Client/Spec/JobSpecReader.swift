internal import Foundation
internal import IorunCore
internal import Yams

/// Turns the values of a spec file into a `JobSpec`: the keys, their defaults and their limits.
struct JobSpecReader {
  let file: String

  private static let topKeys = KnownKeys(
    names: [
      "name", "command", "swift", "working_dir", "gang", "env", "outputs", "timeout", "retries",
      "fence", "network", "priority", "start_by", "preemptible", "verification",
      "image", "isolation",
    ],
    elsewhere: [
      "ranks": "gang", "resources": "gang", "placement": "gang", "labels": "gang",
      "spread_over": "gang", "max_price": "gang", "spares": "gang", "on_loss": "gang",
      "min_ranks": "gang", "cpus": "gang.resources",
      "gpus": "gang.resources",
      "gpu_model": "gang.resources", "memory": "gang.resources", "disk": "gang.resources",
    ])
  private static let gangKeys = KnownKeys(
    names: ["ranks", "resources", "placement"] + TermsReader.keys,
    elsewhere: [
      "cpus": "gang.resources", "gpus": "gang.resources", "gpu_model": "gang.resources",
      "memory": "gang.resources", "disk": "gang.resources",
    ])
  private static let resourceKeys = KnownKeys(
    names: ["cpus", "gpus", "gpu_model", "memory", "disk"],
    elsewhere: ["ranks": "gang", "placement": "gang"])
  private static let swiftKeys = KnownKeys(names: ["target", "arguments"])

  func read(_ root: SpecNode) throws -> JobSpecFile {
    let values = try group(root, Self.topKeys, "keys such as name, command and gang")
    let spec = JobSpec(
      name: try values["name"].map(name) ?? folderName,
      entrypoint: try entrypoint(values, root),
      gang: try values["gang"].map(gang) ?? Self.defaultGang,
      environment: try values["env"].map(environment) ?? [:],
      outputs: try values["outputs"].map(outputs) ?? [],
      timeoutSeconds: try values["timeout"].map(timeout),
      retries: try values["retries"].map { try $0.integer(in: JobLimits.retries) } ?? 0,
      fenceSeconds: try values["fence"].map(fence),
      network: try values["network"].map(network),
      priority: try values["priority"].map { try $0.integer(in: JobLimits.priorities) },
      startBySeconds: try values["start_by"].map { try time($0, "start_by") },
      isPreemptible: try values["preemptible"].map { try $0.truth() },
      verification: try values["verification"].map(verification),
      image: try values["image"].map(image),
      isolation: try values["isolation"].map(isolation))
    return JobSpecFile(spec: spec, workingDirectory: try values["working_dir"].map(folder))
  }

  /// The values of a group whose keys are fixed; any other key is a fault.
  private func group(
    _ node: SpecNode, _ known: KnownKeys, _ wanted: String
  ) throws -> [String: SpecNode] {
    let entries =
      if node.path.isEmpty, !node.isGroup {
        throw node.fault(
          "a job spec is a group of keys, found \(node.found)",
          allowed: "Begin with keys such as command: python train.py")
      } else {
        try node.entries("a group with the keys \(known.names.joined(separator: ", "))")
      }
    var values: [String: SpecNode] = [:]
    for (key, value) in entries {
      guard let name = key.node.string, known.names.contains(name) else {
        let place = node.path.isEmpty ? "the top level" : node.path
        throw key.fault(
          known.complaint(about: key.node.string ?? "?"),
          allowed: "Allowed at \(place): \(known.names.joined(separator: ", "))")
      }
      values[name] = value
    }
    return values
  }

  private func name(_ node: SpecNode) throws -> String {
    let text = try node.written()
    guard (1...JobLimits.nameLength).contains(text.count),
      !text.unicodeScalars.contains(where: \.isControl)
    else {
      throw node.fault(
        "name is empty, too long or has control characters",
        allowed: "Give name 1 to \(JobLimits.nameLength) visible characters")
    }
    return text
  }

  /// The name of the spec file's folder, for a job that has none.
  private var folderName: String {
    let folder = URL(fileURLWithPath: file).deletingLastPathComponent().lastPathComponent
    let visible = String(String.UnicodeScalarView(folder.unicodeScalars.filter { !$0.isControl }))
    return visible.isEmpty || visible == "/" ? "job" : String(visible.prefix(JobLimits.nameLength))
  }

  private func entrypoint(
    _ values: [String: SpecNode], _ root: SpecNode
  ) throws -> JobSpec.Entrypoint {
    switch (values["command"], values["swift"]) {
    case (nil, nil):
      throw root.fault(
        "neither command nor swift is there, so nothing would run",
        allowed: "Add command: python train.py, or swift: with the name of a target")
    case (_?, let swift?):
      throw swift.fault(
        "command and swift are both there, and a job runs one thing",
        allowed: "Keep either command or swift")
    case (let node?, nil): return .command(try command(node))
    case (nil, let node?): return try swift(node)
    }
  }

  private func command(_ node: SpecNode) throws -> [String] {
    if node.isScalar {
      let line = try node.text("a shell command or a list of a program and its arguments")
      guard line.contains(where: { !$0.isWhitespace }) else {
        throw node.fault("command is empty", allowed: "Give command something to run")
      }
      return ["/bin/sh", "-c", line]
    }
    let words = try node.items("a shell command or a list of a program and its arguments")
      .map { try $0.written() }
    guard let program = words.first, !program.isEmpty else {
      throw node.fault("command is empty", allowed: "Begin the list with a program to run")
    }
    return words
  }

  private func swift(_ node: SpecNode) throws -> JobSpec.Entrypoint {
    if node.isScalar { return .swift(target: try target(node), arguments: []) }
    let values = try group(node, Self.swiftKeys, "a target's name, or target and arguments")
    guard let name = values["target"] else {
      throw node.fault("swift has no target", allowed: "Add target: with the product to run")
    }
    let arguments = try values["arguments"].map { node in
      try node.items("a list of arguments").map { try $0.written() }
    }
    return .swift(target: try target(name), arguments: arguments ?? [])
  }

  private func target(_ node: SpecNode) throws -> String {
    let text = try node.text("the name of an executable product")
    guard !text.isEmpty, !text.contains("/"), !text.hasPrefix("-") else {
      throw node.fault(
        "\(node.path) is '\(text)', which is no product's name",
        allowed: "Name an executable product of the Swift package in working_dir")
    }
    return text
  }

  private func folder(_ node: SpecNode) throws -> String {
    let text = try node.text("a folder's path")
    guard !text.isEmpty else {
      throw node.fault("working_dir is empty", allowed: "Use . for the spec file's own folder")
    }
    return text
  }

  private func timeout(_ node: SpecNode) throws -> Double { try time(node, "timeout") }

  private func time(_ node: SpecNode, _ name: String) throws -> Double {
    let text = try node.written("a time such as 10m")
    guard let seconds = TimeSpan.seconds(text) else {
      throw node.fault("\(name) is '\(text)'", allowed: TimeSpan.allowed)
    }
    return seconds
  }

  private func fence(_ node: SpecNode) throws -> Double {
    let text = try node.written("a time such as 5s")
    guard let seconds = TimeSpan.seconds(text), JobLimits.fenceSeconds.contains(seconds) else {
      throw node.fault("fence is '\(text)'", allowed: "Write a time from 3s to 30s")
    }
    return seconds
  }

  private func network(_ node: SpecNode) throws -> JobSpec.Network {
    try word(
      node, "network", of: "gang, internet, none or host",
      allowed: "Write gang for an encrypted network of the gang's own, internet for that and a way "
        + "to the public internet, none for nothing, or host for the node's")
  }

  /// One of a few words.
  private func word<Value: RawRepresentable<String>>(
    _ node: SpecNode, _ name: String, of words: String, allowed: String
  ) throws -> Value {
    let text = try node.text(words)
    guard let value = Value(rawValue: text) else {
      throw node.fault("\(name) is '\(text)'", allowed: allowed)
    }
    return value
  }

  /// As it is written: a path is found and read when the job is handed in.
  private func image(_ node: SpecNode) throws -> String {
    let text = try node.text("an image")
    if text.isEmpty || text.contains("@sha256:") {
      do { _ = try ImageReference(text) } catch {
        throw node.fault(
          "image is '\(text)'", allowed: (error as? IorunError)?.remedy ?? "Name an image")
      }
    }
    return text
  }

  private func verification(_ node: SpecNode) throws -> JobSpec.Verification {
    try word(
      node, "verification", of: "required or any",
      allowed: "Write required for nodes that proved what they are, or any")
  }

  private func isolation(_ node: SpecNode) throws -> JobSpec.Isolation {
    try word(
      node, "isolation", of: "required or any",
      allowed: "Write required for nodes with a sandbox only, or any")
  }

  private func outputs(_ node: SpecNode) throws -> [String] {
    try node.items("a list of paths").map { item in
      let path = try item.text("a path")
      let parts = path.split(separator: "/", omittingEmptySubsequences: false)
      guard !path.isEmpty, !path.hasPrefix("/"), !parts.contains("..") else {
        throw item.fault(
          "the output '\(path)' is not below the working folder",
          allowed: "Use relative paths without .., for example model.bin or out/*.png")
      }
      return path
    }
  }
}

extension JobSpecReader {
  private static let defaultGang = JobSpec.Gang(
    ranks: 1, resources: ResourceSet(milliCPUs: 1000))

  private func gang(_ node: SpecNode) throws -> JobSpec.Gang {
    let values = try group(node, Self.gangKeys, "ranks, resources and placement")
    var gang = Self.defaultGang
    if let ranks = values["ranks"] { gang.ranks = try ranks.integer(in: JobLimits.ranks) }
    if let placement = values["placement"] {
      let strategies = try TermsReader.strategies(placement)
      gang.placement = strategies.first
      let fallbacks = Array(strategies.dropFirst())
      if !fallbacks.isEmpty { gang.change { $0.fallbacks = fallbacks } }
    }
    try TermsReader.read(values, into: &gang)
    guard let resources = values["resources"] else { return gang }
    let amounts = try group(resources, Self.resourceKeys, "amounts")
    if let cpus = amounts["cpus"] {
      let number = try cpus.number(in: JobLimits.cpus)
      gang.resources.milliCPUs = Int((number * 1000).rounded())
    }
    if let gpus = amounts["gpus"] { gang.resources.gpus = try gpus.integer(in: JobLimits.gpus) }
    if let memory = amounts["memory"] { gang.resources.memory = try memory.bytes() }
    if let disk = amounts["disk"] { gang.resources.disk = try disk.bytes() }
    if let model = amounts["gpu_model"] {
      let text = try model.written("a part of a GPU model's name")
      guard !text.isEmpty, gang.resources.gpus > 0 else {
        throw model.fault(
          text.isEmpty ? "gpu_model is empty" : "gpu_model is there, but gpus is 0",
          allowed: "Ask for at least gpus: 1, or leave gpu_model out")
      }
      gang.gpuModel = text
    }
    return gang
  }

  private func environment(_ node: SpecNode) throws -> [String: String] {
    var environment: [String: String] = [:]
    for (key, value) in try node.entries("a group of NAME: value") {
      let name = try key.written("a variable's name")
      if let complaint = EnvironmentName.complaint(about: name) {
        throw key.fault(complaint.message, allowed: complaint.allowed)
      }
      environment[name] = try value.written("a text; write '' for an empty one")
    }
    return environment
  }
}

extension Unicode.Scalar {
  /// True for characters that move the cursor or worse.
  fileprivate var isControl: Bool { properties.generalCategory == .control }
}
