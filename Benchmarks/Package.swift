// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that nobody who builds or tests Parley resolves or compiles it. It drives the built `parley` and its
// peers as processes, and the dialog machine and a scripted model in its own; Sources/bench/Harness is the end-to-end tests' own.
let package = Package(
  name: "benchmarks",
  dependencies: [
    .package(name: "parley", path: "..", traits: ["Cluster"]),
    .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
    // The peer of the API's benchmark; the same Hummingbird that Parley is built with.
    .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.0", traits: []),
    .package(url: "https://github.com/apple/swift-log.git", from: "1.14.0"),
  ],
  targets: [
    .executableTarget(
      name: "bench",
      dependencies: [
        .product(name: "ParleyDialogs", package: "parley"), .product(name: "ScriptedServers", package: "parley"),
        .product(name: "ParleyStorage", package: "parley"), .product(name: "ParleyHops", package: "parley"),
        .product(name: "NIOPosix", package: "swift-nio"), .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: [.treatAllWarnings(as: .error)]),
    .executableTarget(
      name: "hello",
      dependencies: [
        .product(name: "Hummingbird", package: "hummingbird"), .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: [.treatAllWarnings(as: .error)]),
  ],
  swiftLanguageModes: [.v6]
)
