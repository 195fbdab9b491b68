// swift-tools-version: 6.2
import PackageDescription

// One settings array for every Swift target: what compiles in one compiles in all.
// NonisolatedNonsendingByDefault is left out: with it, Swift 6.3.1's optimizer drops the hop back to
// an actor after a continuation, and the actor goes on off its executor (release builds only).
let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
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
      name: "CWire", dependencies: ["CProtobufC"], path: "proto",
      exclude: ["iorun.proto", "local.md"],
      linkerSettings: [.linkedLibrary("protobuf-c")]),
    .target(name: "CShim", path: "Sources/CShim"),
    .target(name: "CCrypto", dependencies: ["COpenSSL"], path: "Sources/Crypto/CCrypto"),

    // Floor 1: vocabulary.
    .target(name: "IorunCore", path: "Sources/Core", swiftSettings: settings),
    .target(
      name: "IorunCrypto", dependencies: ["IorunCore", "COpenSSL", "CCrypto"],
      path: "Sources/Crypto", exclude: ["COpenSSL", "CCrypto"], swiftSettings: settings),

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
    .target(name: "CPoW", path: "Sources/PoW/CPoW"),
    .target(
      name: "IorunPoW", dependencies: ["IorunCore", "IorunCrypto", "CPoW"], path: "Sources/PoW",
      exclude: ["CPoW"], swiftSettings: settings),

    // Tunnels: our own WireGuard, and others' behind the same interface.
    .target(
      name: "CTunnel", dependencies: ["COpenSSL"], path: "Sources/Tunnel/CTunnel",
      linkerSettings: [.linkedLibrary("crypto")]),
    .target(
      name: "IorunTunnel",
      dependencies: ["IorunCore", "IorunCrypto", "COpenSSL", "CTunnel", "CShim"],
      path: "Sources/Tunnel", exclude: ["CTunnel"], swiftSettings: settings),

    // Sandboxes: work of strangers apart from the machine that it runs on.
    .target(name: "CSandbox", path: "Sources/Sandbox/CSandbox"),
    .target(
      name: "IorunSandbox", dependencies: ["IorunCore", "IorunCrypto", "CSandbox", "CShim"],
      path: "Sources/Sandbox", exclude: ["CSandbox"], swiftSettings: settings),

    // Paths: the way from here to a peer behind any NAT.
    .target(name: "CPath", path: "Sources/Path/CPath"),
    .target(
      name: "CSCTP", dependencies: ["COpenSSL"], path: "Sources/Path/CSCTP",
      linkerSettings: [.linkedLibrary("usrsctp"), .linkedLibrary("crypto")]),
    .target(
      name: "IorunPath", dependencies: ["IorunCore", "IorunCrypto", "CPath", "CSCTP", "CShim"],
      path: "Sources/Path", exclude: ["CPath", "CSCTP"], swiftSettings: settings),

    // Floor 3: the encrypted mesh.
    .target(
      name: "IorunMesh",
      dependencies: ["IorunCore", "IorunCrypto", "IorunWire", "CZeroMQ", "CShim", logging],
      path: "Sources/Mesh", exclude: ["CZeroMQ"], swiftSettings: settings),

    // Floor 4: distributed actors, and the contract they share.
    .target(
      name: "IorunRuntime",
      dependencies: ["IorunCore", "IorunWire", "IorunMesh", "CShim", logging],
      path: "Sources/Runtime", swiftSettings: settings),
    .target(
      name: "IorunContract",
      dependencies: [
        "IorunCore", "IorunCrypto", "IorunContent", "IorunWire", "IorunPath", "IorunPoW",
        "IorunRuntime", "CShim",
      ],
      path: "Sources/Contract", swiftSettings: settings),
    .target(
      name: "IorunJob", dependencies: ["IorunCore", "IorunMesh", "IorunRuntime", "IorunContract"],
      path: "Sources/Job", swiftSettings: settings),

    // Floor 5: the three kinds of peer.
    .target(
      name: "IorunWorker",
      dependencies: [
        "IorunCore", "IorunCrypto", "IorunContent", "IorunPath", "IorunPoW", "IorunWire",
        "IorunMesh", "IorunRuntime", "IorunContract", "IorunTunnel", "IorunSandbox", "CShim",
        logging,
      ],
      path: "Sources/Worker", swiftSettings: settings),
    .target(
      name: "IorunHead",
      dependencies: [
        "IorunCore", "IorunCrypto", "IorunContent", "IorunPath", "IorunPoW", "IorunWire",
        "IorunMesh", "IorunRuntime",
        "IorunContract", "IorunScheduler", "CShim", grdb, logging,
      ],
      path: "Sources/Head", swiftSettings: settings),
    .target(
      name: "IorunClient",
      dependencies: [
        "IorunCore", "IorunCrypto", "IorunContent", "IorunPath", "IorunPoW", "IorunMesh",
        "IorunRuntime", "IorunContract", "CShim", yams, logging,
      ],
      path: "Sources/Client", swiftSettings: settings),

    // Floor 6: a whole network on one machine, and the command line.
    .target(
      name: "IorunLocal",
      dependencies: [
        "IorunCore", "IorunWire", "IorunContract", "IorunMesh", "IorunClient", "IorunWorker",
        "CShim",
      ],
      path: "Sources/LocalNetwork", swiftSettings: settings),
    .executableTarget(
      name: "iorun",
      dependencies: [
        "IorunCore", "IorunContent", "IorunCrypto", "IorunPath", "IorunPoW", "IorunContract",
        "IorunMesh", "IorunClient", "IorunHead",
        "IorunWorker", "IorunLocal", "IorunSandbox", "CShim", "CSandbox", argumentParser, logging,
      ],
      path: "Sources/iorun", swiftSettings: settings),

    // Examples.
    .target(
      name: "DigitsTraining", path: "examples/train-digits/DigitsTraining",
      swiftSettings: settings),
    .executableTarget(
      name: "train-digits", dependencies: ["DigitsTraining", "IorunJob", "IorunCore"],
      path: "examples/train-digits/Main", swiftSettings: settings),

    // Benchmarks: `make bench`.
    .executableTarget(
      name: "iorun-bench",
      dependencies: [
        "IorunCore", "IorunWire", "IorunMesh", "IorunRuntime", "CZeroMQ", argumentParser,
      ],
      path: "Benchmarks", exclude: ["Runtime", "Scheduler", "Tunnel", "Path", "PoW", "Isolation"],
      swiftSettings: settings),
    .executableTarget(
      name: "SchedulerBench", dependencies: ["IorunCore", "IorunScheduler", argumentParser],
      path: "Benchmarks/Scheduler", swiftSettings: settings),
    .executableTarget(
      name: "iorun-runtime-bench",
      dependencies: ["IorunCore", "IorunWire", "IorunRuntime", argumentParser],
      path: "Benchmarks/Runtime", swiftSettings: settings),

    .executableTarget(
      name: "iorun-tunnel-bench",
      dependencies: [
        "IorunCore", "IorunTunnel", "IorunContract", "IorunWorker", "WanLink", argumentParser,
        logging,
      ],
      path: "Benchmarks/Tunnel", swiftSettings: settings),

    .target(name: "CPathBench", path: "Benchmarks/Path/CPathBench"),
    .executableTarget(
      name: "iorun-path-bench",
      dependencies: [
        "IorunCore", "IorunCrypto", "IorunPath", "CPath", "CPathBench", argumentParser,
      ],
      path: "Benchmarks/Path", exclude: ["CPathBench"], swiftSettings: settings),

    .executableTarget(
      name: "iorun-pow-bench", dependencies: ["IorunPoW", argumentParser], path: "Benchmarks/PoW",
      swiftSettings: settings),

    .executableTarget(
      name: "iorun-isolation-bench", dependencies: ["IorunCore", "IorunSandbox", argumentParser],
      path: "Benchmarks/Isolation", swiftSettings: settings),

    // Tests, one target a module, and real processes in EndToEnd.
    .executableTarget(
      name: "iorun-supervise-test", dependencies: ["CShim"], path: "Tests/Support/SuperviseMain",
      swiftSettings: settings),
    .executableTarget(
      name: "cluster-program", dependencies: ["IorunCore", "IorunWire", "IorunRuntime"],
      path: "Tests/Support/ClusterProgram", swiftSettings: settings),
    .target(name: "TestSupport", path: "Tests/Support/TestSupport"),
    .target(name: "CWanLink", path: "Tests/Support/CWanLink"),
    .target(
      name: "WanLink", dependencies: ["CWanLink"], path: "Tests/Support/WanLink",
      swiftSettings: settings),
    .executableTarget(
      name: "wan-link", dependencies: ["WanLink", "CWanLink", argumentParser],
      path: "Tests/Support/WanLinkMain", swiftSettings: settings),
    .testTarget(
      name: "CoreTests", dependencies: ["IorunCore"], path: "Tests/CoreTests"),
    .testTarget(
      name: "CryptoTests", dependencies: ["IorunCore", "IorunCrypto"], path: "Tests/CryptoTests"),
    .testTarget(
      name: "WireTests", dependencies: ["IorunCore", "IorunWire", "TestSupport"],
      path: "Tests/WireTests"),
    .testTarget(
      name: "ContentTests", dependencies: ["IorunCore", "IorunCrypto", "IorunContent"],
      path: "Tests/ContentTests"),
    .testTarget(
      name: "ContractTests",
      dependencies: [
        "IorunCore", "IorunCrypto", "IorunContent", "IorunContract", "TestSupport",
      ],
      path: "Tests/ContractTests"),
    .testTarget(
      name: "SchedulerTests", dependencies: ["IorunCore", "IorunScheduler", "TestSupport"],
      path: "Tests/SchedulerTests"),
    .testTarget(
      name: "SchedulerBenchTests", dependencies: ["SchedulerBench", "TestSupport"],
      path: "Tests/SchedulerBenchTests"),
    .testTarget(
      name: "PoWTests",
      dependencies: ["IorunCore", "IorunCrypto", "IorunPoW", "CPoW", "CFakeCUDA"],
      path: "Tests/PoWTests", exclude: ["FakeCUDA"]),
    // A CUDA driver that computes on the CPU, for these tests.
    .target(name: "CFakeCUDA", path: "Tests/PoWTests/FakeCUDA"),
    .testTarget(
      name: "TunnelTests",
      dependencies: [
        "IorunCore", "IorunCrypto", "IorunTunnel", "CTunnel", "TestSupport", "WanLink",
        "iorun-tunnel-bench",
      ],
      path: "Tests/TunnelTests"),
    .executableTarget(
      name: "iorun-sandbox-canary", dependencies: ["CSandbox"],
      path: "Tests/Support/SandboxCanary"),
    .target(
      name: "SandboxSupport", dependencies: ["IorunCore", "IorunSandbox"],
      path: "Tests/Support/SandboxSupport", swiftSettings: settings),
    .testTarget(
      name: "SandboxTests",
      dependencies: [
        "IorunCore", "IorunCrypto", "IorunSandbox", "CSandbox", "CShim", "SandboxSupport",
        "TestSupport", "iorun-sandbox-canary",
      ],
      path: "Tests/SandboxTests"),
    .executableTarget(
      name: "iorun-sandbox-agent", dependencies: ["IorunCore", "IorunSandbox"],
      path: "Tests/Support/SandboxAgent", swiftSettings: settings),
    .testTarget(
      name: "EscapeTests",
      dependencies: [
        "IorunCore", "IorunSandbox", "CShim", "SandboxSupport", "iorun-sandbox-canary",
        "iorun-sandbox-agent",
      ],
      path: "Tests/EscapeTests", exclude: ["Attempts"]),
    .testTarget(
      name: "MeshTests",
      dependencies: [
        "IorunCore", "IorunCrypto", "IorunWire", "IorunMesh", "CZeroMQ", "TestSupport",
      ],
      path: "Tests/MeshTests"),
    .testTarget(
      name: "PathTests",
      dependencies: [
        "IorunCore", "IorunCrypto", "IorunPath", "CPath", "TestSupport", "WanLink",
      ],
      path: "Tests/PathTests"),
    .testTarget(
      name: "RuntimeTests",
      dependencies: ["IorunCore", "IorunWire", "IorunMesh", "IorunRuntime", "TestSupport"],
      path: "Tests/RuntimeTests"),
    .testTarget(
      name: "JobTests",
      dependencies: ["IorunCore", "IorunMesh", "IorunRuntime", "IorunContract", "IorunJob"],
      path: "Tests/JobTests"),
    .testTarget(
      name: "WorkerTests",
      dependencies: [
        "IorunCore", "IorunCrypto", "IorunContent", "IorunPoW", "IorunWire", "IorunMesh",
        "IorunRuntime", "IorunContract", "IorunTunnel", "IorunSandbox", "IorunWorker", "CShim",
        logging, "iorun-supervise-test",
        "TestSupport",
      ],
      path: "Tests/WorkerTests"),
    .testTarget(
      name: "HeadTests",
      dependencies: [
        "IorunCore", "IorunCrypto", "IorunContent", "IorunPoW", "IorunWire", "IorunMesh",
        "IorunContract", "IorunScheduler", "IorunPath", "IorunHead",
        "TestSupport",
      ],
      path: "Tests/HeadTests"),
    .testTarget(
      name: "ClientTests",
      dependencies: ["IorunCore", "IorunContent", "IorunContract", "IorunPoW", "IorunClient"],
      path: "Tests/ClientTests"),
    .testTarget(
      name: "ExampleTests", dependencies: ["DigitsTraining", "IorunClient", "IorunCore"],
      path: "Tests/ExampleTests"),
    .testTarget(
      name: "EndToEnd",
      dependencies: ["iorun", "train-digits", "cluster-program", "WanLink", "wan-link"],
      path: "Tests/EndToEnd"),
    .testTarget(
      name: "WanLinkTests", dependencies: ["WanLink", "wan-link"], path: "Tests/WanLinkTests"),
  ],
  swiftLanguageModes: [.v6]
)
