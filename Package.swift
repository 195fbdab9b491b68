// swift-tools-version: 6.2
import PackageDescription

// One settings array for every Swift target: what compiles in one compiles in all.
let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .treatAllWarnings(as: .error),
]

let argumentParser = Target.Dependency.product(
  name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")

let package = Package(
  name: "iorun",
  platforms: [.macOS(.v15)],
  products: [
    .executable(name: "iorun", targets: ["iorun"]),
    .library(name: "IorunRuntime", targets: ["IorunRuntime"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    // Floor 0: system libraries, generated code, C shims.
    .systemLibrary(
      name: "CZeroMQ", path: "Sources/Mesh/CZeroMQ", providers: [.apt(["libzmq3-dev"])]),
    .systemLibrary(
      name: "CProtobufC", path: "Sources/Wire/CProtobufC", providers: [.apt(["libprotobuf-c-dev"])]),
    .systemLibrary(
      name: "COpenSSL", path: "Sources/Crypto/COpenSSL", providers: [.apt(["libssl-dev"])]),
    .target(
      name: "CWire", dependencies: ["CProtobufC"], path: "proto", exclude: ["iorun.proto"],
      linkerSettings: [.linkedLibrary("protobuf-c")]),
    .target(name: "CShim", path: "Sources/CShim"),

    // Floor 1: vocabulary.
    .target(name: "IorunCore", path: "Sources/Core", swiftSettings: settings),
    .target(
      name: "IorunCrypto", dependencies: ["IorunCore", "COpenSSL"], path: "Sources/Crypto",
      exclude: ["COpenSSL"], swiftSettings: settings),

    // Floor 2: bytes, content, decisions.
    .target(
      name: "IorunWire", dependencies: ["IorunCore", "CWire", "CProtobufC"], path: "Sources/Wire",
      exclude: ["CProtobufC"], swiftSettings: settings),
    .target(
      name: "IorunContent", dependencies: ["IorunCore", "IorunCrypto"], path: "Sources/Content",
      swiftSettings: settings),
    .target(
      name: "IorunScheduler", dependencies: ["IorunCore"], path: "Sources/Scheduler",
      swiftSettings: settings),
    .target(
      name: "IorunPoW", dependencies: ["IorunCore", "IorunCrypto"], path: "Sources/PoW",
      swiftSettings: settings),

    // Floor 3: the encrypted mesh.
    .target(
      name: "IorunMesh",
      dependencies: ["IorunCore", "IorunCrypto", "IorunWire", "CZeroMQ", "CShim"],
      path: "Sources/Mesh", exclude: ["CZeroMQ"], swiftSettings: settings),

    // Floor 4: distributed actors, and the contract they share.
    .target(
      name: "IorunRuntime",
      dependencies: ["IorunCore", "IorunWire", "IorunMesh", logging],
      path: "Sources/Runtime", swiftSettings: settings),
    .target(
      name: "IorunContract", dependencies: ["IorunCore", "IorunContent", "IorunRuntime"],
      path: "Sources/Contract", swiftSettings: settings),

    // Floor 5: the three kinds of peer.
    .target(
      name: "IorunWorker",
      dependencies: [
        "IorunCore", "IorunCrypto", "IorunContent", "IorunMesh", "IorunRuntime", "IorunContract",
        "IorunPoW", "CShim", logging,
      ],
      path: "Sources/Worker", swiftSettings: settings),
    .target(
      name: "IorunHead",
      dependencies: [
        "IorunCore", "IorunCrypto", "IorunContent", "IorunMesh", "IorunRuntime", "IorunContract",
        "IorunScheduler", "IorunPoW", grdb, logging,
      ],
      path: "Sources/Head", swiftSettings: settings),
    .target(
      name: "IorunClient",
      dependencies: [
        "IorunCore", "IorunCrypto", "IorunContent", "IorunMesh", "IorunRuntime", "IorunContract",
        yams, logging,
      ],
      path: "Sources/Client", swiftSettings: settings),

    // Floor 6: the command line.
    .executableTarget(
      name: "iorun",
      dependencies: [
        "IorunClient", "IorunHead", "IorunWorker", "IorunCore", "IorunCrypto", "IorunContent",
        "IorunMesh", "IorunRuntime", "IorunContract", "CShim", argumentParser, logging,
      ],
      path: "Sources/iorun", swiftSettings: settings),
  ],
  swiftLanguageModes: [.v6]
)
