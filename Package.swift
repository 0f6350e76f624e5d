// swift-tools-version: 6.2
import PackageDescription

// Every room of docs/architecture.md is one target here, in the order a call walks through them.
// Which room may import which is checked by Tests/House, so an edge added here without a reason fails a test.

let strict: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]

func room(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, exclude: ["README.md"], swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: dependencies, path: "Tests/\(name)", swiftSettings: strict)
}

let nio: [Target.Dependency] = [
  .product(name: "NIOCore", package: "swift-nio"),
  .product(name: "NIOPosix", package: "swift-nio"),
  .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
]
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let grpc: [Target.Dependency] = [
  ("GRPCCore", "grpc-swift-2"), ("GRPCNIOTransportHTTP2", "grpc-swift-nio-transport"),
  ("GRPCProtobuf", "grpc-swift-protobuf"), ("SwiftProtobuf", "swift-protobuf"), ("X509", "swift-certificates"),
].map { .product(name: $0.0, package: $0.1, condition: .when(traits: ["Cluster"])) }
let shared: [Target.Dependency] = ["Base", "CallLink", "Storage", "Telemetry", "Settings", logging]

let package = Package(
  name: "parley",
  products: [
    .executable(name: "parley", targets: ["parley"]),
    // For Benchmarks/ and Fuzz/, which are packages of their own.
    .library(name: "ParleyProtocols", targets: ["Base", "SIP", "SDP", "RTP", "Audio", "Turns", "Dialogs"]),
    .library(name: "ParleyStorage", targets: ["Base", "Storage"]),
    .library(name: "ParleyHops", targets: ["Base", "CallLink", "CallCustody", "CallLinkGRPC"]),
    .library(name: "ParleySignalling", targets: ["Base", "SIP", "SDP", "RTP"]),
    .library(name: "ParleyDialogs", targets: ["Base", "Dialogs", "Settings"]),
    .library(name: "ScriptedServers", targets: ["Base", "ScriptedServers"]),
  ],
  // The hops between processes: gRPC is the heaviest thing to compile, and one process needs none of it.
  traits: [.trait(name: "Cluster", description: "Roles in processes of their own: `parley serve --role`.")],
  dependencies: [
    .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
    .package(url: "https://github.com/apple/swift-nio-extras.git", from: "1.24.0"),
    .package(url: "https://github.com/apple/swift-log.git", from: "1.14.0"),
    .package(url: "https://github.com/apple/swift-http-types.git", from: "1.8.0", traits: []),
    .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.0", traits: []),
    .package(url: "https://github.com/swift-server/async-http-client.git", from: "1.37.0"),
    .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.0"),
    .package(url: "https://github.com/apple/swift-crypto.git", from: "4.0.0"),
    .package(url: "https://github.com/groue/GRDB.swift.git", from: "7.10.0"),
    .package(url: "https://github.com/jpsim/Yams.git", from: "6.2.0"),
    .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.0"),
    .package(url: "https://github.com/grpc/grpc-swift-2.git", from: "2.4.0"),
    .package(url: "https://github.com/grpc/grpc-swift-nio-transport.git", from: "2.9.0"),
    .package(url: "https://github.com/grpc/grpc-swift-protobuf.git", from: "2.4.0"),
    .package(url: "https://github.com/apple/swift-protobuf.git", from: "1.39.0"),
    .package(url: "https://github.com/apple/swift-certificates.git", from: "1.21.0"),
  ],
  targets: [
    // Pure rooms: bytes, events and `now` in; actions out.
    room("Base"),
    room("SDP", ["Base"]),
    room("SIP", ["Base", "SDP"]),
    room("RTP", ["Base"]),
    room("Audio", ["Base", "CSpeexDSP", "CSpanDSP", "CSndFile"]),
    room("Turns", ["Base"]),
    room("Dialogs", ["Base"]),

    // What the services share.
    room("CallLink", ["Base"]),
    room("Settings", ["Base", .product(name: "Yams", package: "Yams")]),
    room("Telemetry", ["Base", "Settings", logging, .product(name: "NIOHTTP1", package: "swift-nio")] + nio),
    room(
      "Storage",
      [
        "Base", "Settings", "Outbound", "CPostgreSQL", logging, .product(name: "GRDB", package: "GRDB.swift"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"), .product(name: "Crypto", package: "swift-crypto"),
      ] + nio),

    room(
      "Outbound",
      [
        "Base", "Settings", logging, .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "NIOHTTP1", package: "swift-nio"), .product(name: "NIOSSL", package: "swift-nio-ssl"),
        .product(name: "Crypto", package: "swift-crypto"),
      ] + nio),

    room(
      "CallCustody", ["Base", "CallLink", "Storage", logging, .product(name: "Crypto", package: "swift-crypto")] + nio),
    room(
      "CallLinkGRPC",
      ["Base", "CallLink", "CallCustody", logging, .product(name: "NIOSSL", package: "swift-nio-ssl")] + grpc + nio),

    // Services, one per role; none knows another.
    room("MediaIO", ["Base"] + nio),
    room(
      "MediaGateway",
      ["SIP", "SDP", "RTP", "Audio", "MediaIO", .product(name: "NIOSSL", package: "swift-nio-ssl")] + shared + nio),
    room("SpeechGateway", ["Audio", "Turns", "CPocketSphinx", "CFlite"] + shared + nio),
    room(
      "ConversationRuntime",
      [
        "Dialogs", "Outbound", .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
      ] + shared + nio),
    room(
      "IntegrationGateway",
      [
        "Dialogs", "Outbound",
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "CryptoExtras", package: "swift-crypto"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOWebSocket", package: "swift-nio"),
        .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
        .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
      ] + shared + nio),
    room("Worker", ["Outbound"] + shared + nio),

    // The command line: the only place where roles are put together.
    .executableTarget(
      name: "parley",
      dependencies: [
        "SIP", "SDP", "RTP", "Audio", "Turns", "Dialogs", "MediaIO", "MediaGateway", "SpeechGateway",
        "ConversationRuntime", "IntegrationGateway", "Outbound", "Worker", "CallCustody", "CallLinkGRPC",
        "CPocketSphinx", "CBuildStamp",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ] + shared + nio,
      exclude: ["README.md"],
      swiftSettings: strict),

    // One shim per system library, nothing else.
    .systemLibrary(name: "CPocketSphinx", pkgConfig: "pocketsphinx", providers: [.apt(["libpocketsphinx-dev"])]),
    .systemLibrary(name: "CFlite", providers: [.apt(["flite1-dev"])]),
    .systemLibrary(name: "CPostgreSQL", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
    .systemLibrary(name: "CSpanDSP", pkgConfig: "spandsp", providers: [.apt(["libspandsp-dev"])]),
    .systemLibrary(name: "CSpeexDSP", pkgConfig: "speexdsp", providers: [.apt(["libspeexdsp-dev"])]),
    .systemLibrary(name: "CSndFile", pkgConfig: "sndfile", providers: [.apt(["libsndfile1-dev"])]),

    // What `parley version` says of its origin. C, so that a new commit relinks the binary and recompiles no Swift.
    .target(
      name: "CBuildStamp",
      cSettings: [.define("PARLEY_COMMIT", to: "\"\(Context.environment["PARLEY_COMMIT"] ?? "")\"")]),

    // Tests.
    room("TestKit", ["Base", "SIP", "SDP", "RTP", "Audio"]),
    room(
      "ScriptedServers",
      [
        "Base", .product(name: "NIOHTTP1", package: "swift-nio"), .product(name: "NIOSSL", package: "swift-nio-ssl"),
      ] + nio),
    tests("BaseTests", ["Base"]),
    tests("SDPTests", ["SDP", "TestKit"]),
    tests("SIPTests", ["SIP", "SDP", "RTP", "Base", "TestKit"]),
    tests("RTPTests", ["RTP", "TestKit"]),
    tests("AudioTests", ["Audio", "Base", "TestKit"]),
    tests("TurnsTests", ["Turns", "TestKit"]),
    tests("DialogsTests", ["Dialogs", "Settings", "TestKit"]),
    tests("SettingsTests", ["Settings", "Base"]),
    tests("CallLinkTests", ["CallLink", "Base"]),
    tests(
      "CallCustodyTests",
      ["CallCustody", "CallLinkGRPC", "CallLink", "Storage", "Base", logging] + nio),
    tests(
      "StorageTests",
      [
        "Storage", "Base", "Settings", "ScriptedServers", "TestKit", logging,
        .product(name: "GRDB", package: "GRDB.swift"),
      ]
        + nio),
    tests(
      "MediaGatewayTests",
      [
        "MediaGateway", "MediaIO", "CallLink", "TestKit", "ScriptedServers", "Base", "SIP", "SDP", "RTP", "Audio",
        logging, .product(name: "NIOSSL", package: "swift-nio-ssl"),
      ] + nio),
    tests("SpeechGatewayTests", ["SpeechGateway", "CallLink", "Audio", "Storage", "TestKit"]),
    tests(
      "ConversationRuntimeTests", ["ConversationRuntime", "Dialogs", "Outbound", "ScriptedServers"] + shared + nio),
    tests(
      "OutboundTests",
      [
        "Outbound", "ScriptedServers", "Base", "Settings", .product(name: "NIOSSL", package: "swift-nio-ssl"),
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
      ] + nio),
    tests("TelemetryTests", ["Telemetry", "Settings", "Base", logging] + nio),
    tests("WorkerTests", ["Worker", "Outbound", "ScriptedServers"] + shared + nio),
    tests(
      "IntegrationGatewayTests",
      [
        "IntegrationGateway", "Outbound", "ScriptedServers",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "Crypto", package: "swift-crypto"), .product(name: "CryptoExtras", package: "swift-crypto"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
      ] + shared + nio),
    .testTarget(
      name: "Simulation",
      dependencies: ["CallLink", "CallCustody", "Storage", "SIP", "SDP", "RTP", "Dialogs", "Settings", "TestKit"],
      path: "Tests/Simulation", exclude: ["Dialogs/thorough.yaml"], swiftSettings: strict),
    .testTarget(
      name: "EndToEnd", dependencies: ["Base", "ScriptedServers", "TestKit"], path: "Tests/EndToEnd",
      exclude: ["Scenarios", "schemathesis.toml", "Clients"], swiftSettings: strict),
    tests("House", []),
  ],
  swiftLanguageModes: [.v6]
)
