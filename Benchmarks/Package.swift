// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that nobody who builds or tests Parley resolves or compiles it. It drives the built `parley` and its
// peers as processes, and the dialog machine and a scripted model in its own; Sources/bench/Harness is the end-to-end tests' own.
let package = Package(
  name: "benchmarks",
  dependencies: [.package(name: "parley", path: "..")],
  targets: [
    .executableTarget(
      name: "bench",
      dependencies: [
        .product(name: "ParleyDialogs", package: "parley"), .product(name: "ScriptedServers", package: "parley"),
      ],
      swiftSettings: [.treatAllWarnings(as: .error)])
  ],
  swiftLanguageModes: [.v6]
)
