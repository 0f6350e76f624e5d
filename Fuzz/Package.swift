// swift-tools-version: 6.2
import PackageDescription

// A package of its own: everything that it links is instrumented for libFuzzer, which a build for running must not be.
// scripts/fuzz builds and runs it; docs/fuzzing.md says what is fuzzed and how a finding becomes a test.
let package = Package(
  name: "fuzz",
  dependencies: [.package(name: "parley", path: "..")],
  targets: [
    .executableTarget(
      name: "fuzz",
      dependencies: [
        .product(name: "ParleyDialogs", package: "parley"), .product(name: "ParleySignalling", package: "parley"),
      ],
      swiftSettings: [.treatAllWarnings(as: .error)],
      // gold cannot link libFuzzer's archive, which brings a `main` of its own.
      linkerSettings: [.unsafeFlags(["-use-ld=lld"])])
  ],
  swiftLanguageModes: [.v6]
)
