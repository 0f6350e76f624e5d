import Base
import FoundationEssentials
import Settings
import Testing

/// What `${...}` becomes in a value of the configuration.
@Suite struct ExpansionTests {
  private func load(_ text: String, _ environment: [String: String] = [:]) throws -> Configuration {
    try ConfigurationLoader(environment: environment).load(text: text, file: "config.yaml").configuration
  }

  private func problems(_ text: String, _ environment: [String: String] = [:]) -> [String] {
    do {
      _ = try ConfigurationLoader(environment: environment).load(text: text, file: "config.yaml")
      return []
    } catch {
      return error.all.map(\.description)
    }
  }

  @Test func variablesAreExpanded() throws {
    let text =
      "media: { sip_port: \"${PORT}\", listen_address: \"${HOST:-127.0.0.1}\" }\nspeech: { tts: { voice: \"a$${b}\" } }"
    let configuration = try load(text, ["PORT": "6000"])
    #expect(configuration.media.sipPort == 6000)
    #expect(configuration.media.listenAddress == "127.0.0.1")
    #expect(configuration.speech.tts.voice == "a${b}")
    #expect(try load(text, ["PORT": "1", "HOST": "10.1.1.1"]).media.listenAddress == "10.1.1.1")
  }

  @Test(arguments: [
    ("${NOPE}", "C007 media.sip_port: the environment variable NOPE is not set (set it, or write ${NOPE:-default})"),
    ("\"${NOPE\"", "C007 media.sip_port: `${` is not closed"),
    (
      "${1x}",
      "C007 media.sip_port: `${1x}` is not understood (write ${NAME}, ${NAME:-default}, ${env:NAME|uri}, ${file:PATH} or ${file:PATH|uri}; a plain `${` is written `$${`)"
    ),
    (
      "${NAME|uri}",
      "C007 media.sip_port: `${NAME|uri}` is not understood (write ${NAME}, ${NAME:-default}, ${env:NAME|uri}, ${file:PATH} or ${file:PATH|uri}; a plain `${` is written `$${`)"
    ),
    (
      "${env:NOPE}", "C007 media.sip_port: the environment variable NOPE is not set (set it, or write ${NOPE:-default})"
    ),
    (
      "${env:NOPE|url}",
      "C007 media.sip_port: `|url` is not known in `${env:NOPE|url}` (`|uri` writes a value for the user or password of an address)"
    ),
    (
      "${file:/nowhere/x|}",
      "C007 media.sip_port: `|` is not known in `${file:/nowhere/x|}` (`|uri` writes a value for the user or password of an address)"
    ),
    ("${file:/nowhere/x|uri}", "C007 media.sip_port: /nowhere/x cannot be read: No such file or directory"),
    ("${file:/nowhere/x}", "C007 media.sip_port: /nowhere/x cannot be read: No such file or directory"),
  ])
  func whatCannotBeExpandedIsAnError(value: String, expected: String) {
    #expect(problems("media:\n  sip_port: \(value)") == ["config.yaml:2:13: error: \(expected)"])
  }

  /// A password with all that divides an address comes out at the other end as it is in the file.
  @Test func aSecretFitsIntoAnAddress() throws {
    let password = "p@ss/w:o%r?d#[ü] ~._-$"
    let file = FileManager.default.temporaryDirectory.appending(path: "parley-\(UUID().uuidString)").path()
    try Data((password + "\n").utf8).write(to: URL(filePath: file))
    defer { try? FileManager.default.removeItem(atPath: file) }
    let encoded = "p%40ss%2Fw%3Ao%25r%3Fd%23%5B%C3%BC%5D%20~._-%24"
    let loaded = try load(
      """
      storage:
        database: postgres://parley:${file:\(file)|uri}@db.internal/parley
        redis: redis://:${env:REDIS_PASSWORD|uri}@redis.internal:6379
      """, ["REDIS_PASSWORD": password])
    #expect(loaded.storage.postgresURL?.reveal() == "postgres://parley:\(encoded)@db.internal/parley")
    #expect(loaded.storage.redis?.credentials?.password.reveal() == password)
    #expect(loaded.storage.redis?.servers == [.init(host: "redis.internal", port: 6379)])
    #expect(!ConfigurationText.yaml(loaded).contains("ss%2Fw"))
    // Without the filter nothing is changed.
    #expect(try load("speech: { tts: { voice: \"${env:V}\" } }", ["V": "a@b"]).speech.tts.voice == "a@b")
  }

  @Test func aVariableInBracesWithoutQuotesIsExplained() {
    #expect(problems("media: { sip_port: ${PORT} }").first?.contains("write \"${NAME}\" in quotes") == true)
  }

  @Test func anExpansionAddsNoStructure() throws {
    #expect(problems("speech: { tts: { voice: \"${V}\" } }", ["V": "x, speed: 2"]) == [])
    #expect(try load("speech: { tts: { voice: \"${V}\" } }", ["V": "x\nspeed: 2"]).speech.tts.voice == "x\nspeed: 2")
  }
}
