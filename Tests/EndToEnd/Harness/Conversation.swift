#if Cluster
  import Foundation
  import Testing

  /// One caller of a cluster who presses a key whenever it is quiet. What is pressed while a media process is dead is lost: it was
  /// sent to nobody.
  final class Conversation {
    private static let words = ["one", "two", "three", "four", "five"]
    /// Two more than the dialog needs: for what a dying process does not hear.
    static let keys = words.count + 2

    /// A conversation of a few steps; every key leads to the next.
    static let dialog: String = {
      var text = """
        name: survive
        routing: { match: [{ sip_to: "sip:survive@*" }] }
        states:
        """
      for (index, word) in words.enumerated() {
        text += """

            \(index == 0 ? "start" : "step_\(word)"):
              on_enter: [{ action: play_tts, text: "This is step \(word). Please press any key to go on." }]
              transitions: [{ event: dtmf, target: \(index + 1 < words.count ? "step_\(words[index + 1])" : "finish") }]
              timeout: 60s
          """
      }
      return text + """

          finish:
            on_enter: [{ action: play_tts, text: "That was the last step. Goodbye." }, { action: hangup }]
            terminal: true
        """
    }()

    /// Those of ``dialog`` that are entered by a transition.
    static let states = words.dropFirst().map { "step_\($0)" } + ["finish"]

    private let process = Process()
    private let folder: String
    private let cluster: Cluster
    /// By which the call is found among others.
    private let name = "caller-\(UUID().uuidString)"
    private var found: String?

    /// - Parameters:
    ///   - media: the number of the process that is called.
    ///   - patience: seconds without a sound after which the caller hangs up.
    init(
      with cluster: Cluster, dialog: String = "survive", media: Int = 0, keys: Int = Conversation.keys,
      patience: Int = 15, hangsUp: Bool = false
    ) throws {
      self.cluster = cluster
      folder = try Tools.temporaryFolder()
      process.executableURL = URL(fileURLWithPath: Tools.parley)
      process.arguments =
        ["call", cluster.member("media", media).uri(dialog), "--deaf", "--json", "--from", name]
        + ["--patience", "\(patience)000"] + (0..<keys).flatMap { _ in ["--say", "#1"] } + (hangsUp ? ["--hangup"] : [])
      _ = FileManager.default.createFile(atPath: "\(folder)/out", contents: nil)
      process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: "\(folder)/out"))
      process.standardError = process.standardOutput
      try process.run()
    }

    deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

    var isRunning: Bool { process.isRunning }

    // MARK: The record

    func id() throws -> String {
      if let found { return found }
      let started = try cluster.api.events("call_started", with: "\"caller_id\":\"\(name)\"")
      guard let id = started.first?["session_id"] as? String else {
        throw Gateway.Failed(description: "the call never began: \(said)\n\(cluster.errors)")
      }
      found = id
      return id
    }

    func record() throws -> [[String: Any]] { try cluster.api.recordedEvents(of: try id()) }

    /// Waits until the record has so many events with this text in their lines.
    func wait(for type: String, with text: String = "", count: Int = 1, limit: Int = 60) throws {
      guard try cluster.api.events(type, count, with: text, of: try id(), limit: limit).count < count else { return }
      throw Gateway.Failed(description: "there was no \(type) \(text): \(try states())\n\(said)\n\(cluster.errors)")
    }

    func waitForState(_ state: String) throws { try wait(for: "state_transition", with: "\"to_state\":\"\(state)\"") }

    /// The first state is entered without a transition of its own in the record.
    func states() throws -> [String] {
      try record().filter { $0["type"] as? String == "state_transition" }.compactMap { $0["to_state"] as? String }
        .filter { $0 != "start" }
    }

    /// How the call ended; waits for that.
    func end() throws -> [String: Any] {
      try wait(for: "call_terminated", limit: 20)
      return try record().last { $0["type"] as? String == "call_terminated" } ?? [:]
    }

    // MARK: The caller

    private var said: String { (try? String(contentsOfFile: "\(folder)/out", encoding: .utf8)) ?? "" }

    /// Waits until the caller has put the phone down; what was measured.
    func report(after what: String) throws -> [String: Any] {
      process.waitUntilExit()
      #expect(process.terminationStatus == 0, "after \(what): \(said)")
      return try JSONSerialization.jsonObject(with: Data(said.utf8)) as? [String: Any] ?? [:]
    }

    /// Waits for the end, and holds what happened against what should have.
    /// - Parameter silence: milliseconds: the two seconds that a death may last, and the one that a caller waits anyway, until it
    ///   is quiet, and until the key is answered.
    func expect(_ wanted: [String] = Conversation.states, after what: String, silence limit: Int = 3_000) throws {
      let report = try report(after: what)
      let end = try end(), events = try record(), states = try states()
      #expect(states == wanted, "after \(what): a transition was lost or repeated\n\(cluster.errors)")
      let sequences = events.compactMap { $0["sequence"] as? Int }
      #expect(sequences == Array(1...max(1, sequences.count)), "after \(what): the record has a gap: \(sequences)")
      let texts = events.filter { $0["type"] as? String == "tts_started" }.compactMap { $0["text"] as? String }
      #expect(Set(texts).count == texts.count, "after \(what): a prompt was begun twice: \(texts)")
      #expect(texts.count == wanted.count + 1, "after \(what): prompts are missing: \(texts)")
      #expect(end["reason"] as? String == "normal", "after \(what): \(end)")
      let silence = report["longest_silence_ms"] as? Int ?? .max
      print("after \(what): longest silence \(silence) ms")
      #expect(silence <= limit, "after \(what): the caller heard nothing for \(silence) ms")
    }
  }
#endif
