import Hummingbird
import Logging

// The least that Hummingbird does for a request: one route, a fixed answer. `hello PORT BYTES`.

let port = Int(CommandLine.arguments.dropFirst().first ?? "") ?? 8080
let size = Int(CommandLine.arguments.dropFirst(2).first ?? "") ?? 12
let text = String(repeating: "x", count: size)
let router = Router()
router.get("/") { _, _ in text }
var logger = Logger(label: "hello")
logger.logLevel = .error
let application = Application(
  router: router, configuration: .init(address: .hostname("127.0.0.1", port: port)), logger: logger)
try await application.run()
