// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that nobody who builds or tests Parley resolves or compiles it. It drives the built `parley` and its
// peers as processes; Sources/bench/Harness is the end-to-end tests' own.
let package = Package(
  name: "benchmarks",
  targets: [.executableTarget(name: "bench", swiftSettings: [.treatAllWarnings(as: .error)])],
  swiftLanguageModes: [.v6]
)
