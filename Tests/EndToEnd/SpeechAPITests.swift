import Foundation
import Testing

/// The speech API before clients that nobody here wrote.
@Suite(.serialized) struct SpeechAPITests {
  private static func openAIClient(_ gateway: Gateway) throws -> [String: Any] {
    let result = try Tools.run(
      Tools.python("python"),
      [
        "\(Tools.root)/Tests/EndToEnd/Clients/openai_speech.py", "http://127.0.0.1:\(gateway.apiPort)",
        "end-to-end-token",
      ],
      limit: 120)
    let json = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
    return try #require(json, "\(result.errors)")
  }

  @Test func openAIsClientSpeaksAndListens() throws {
    let gateway = try Gateway()
    let found = try Self.openAIClient(gateway)
    let formats = found["formats"] as? [String: Double] ?? [:]
    #expect(formats.count == 5)
    for (name, right) in formats { #expect(right >= 0.8, "\(name): \(right)") }
    let words = found["words"] as? [[Any]] ?? []
    let duration = found["duration"] as? Double ?? 0
    #expect(words.count >= 5 && found["segments"] as? Int ?? 0 >= 1)
    for word in words {
      #expect((word[1] as? Double ?? -1) >= 0 && (word[2] as? Double ?? .infinity) <= duration + 0.1)
    }
    #expect((found["srt"] as? String ?? "").hasPrefix("1\n00:00:0"))
    let events = found["events"] as? [String] ?? []
    #expect(events.last == "transcript.text.done" && events.first == "transcript.text.delta")
    #expect(found["streamed"] as? Bool == true)
    #expect(found["chunks"] as? Int ?? 0 > 5)
    #expect((found["models"] as? [String] ?? []).contains("whisper-1"))
    for (name, kind, param) in [
      ("aac", "BadRequestError", "response_format"), ("instructions", "BadRequestError", "instructions"),
      ("voice", "BadRequestError", "voice"), ("model", "NotFoundError", "model"), ("file", "BadRequestError", nil),
      ("token", "AuthenticationError", nil),
    ] as [(String, String, String?)] {
      let error = found[name] as? [Any] ?? []
      #expect(error.first as? String == kind && error[1] as? String == param, "\(name): \(found[name] ?? "")")
    }
    let together = found["together"] as? [Double] ?? []
    #expect(together.count == 12 && together.allSatisfy { $0 >= 0.8 }, "\(together)")
  }

  /// Sound is heard while it comes, by those who may, and is counted and kept in the audit log without its words.
  @Test func aWebSocketClientIsHeardWhileItSpeaks() throws {
    let gateway = try Gateway()
    let folder = try Tools.temporaryFolder()
    let sentence = "please call me back tomorrow morning"
    let spoken = try Tools.run("flite", ["-voice", "rms", "-t", sentence, "-o", "\(folder)/spoken.wav"])
    #expect(spoken.status == 0, "\(spoken.errors)")
    let made = try gateway.api("POST", "/v1/tokens", body: #"{"name": "reader", "roles": ["viewer"]}"#)
    let viewer = try JSONSerialization.jsonObject(with: Data(made.text.utf8)) as? [String: Any]
    let token = try #require(viewer?["token"] as? String, "\(made.text)")
    let result = try Tools.run(
      Tools.python("python"),
      [
        "\(Tools.root)/Tests/EndToEnd/Clients/speech_stream.py", "http://127.0.0.1:\(gateway.apiPort)",
        "end-to-end-token", token, "\(folder)/spoken.wav",
      ], limit: 120)
    let json = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
    let found = try #require(json, "\(result.errors)\n\(gateway.errors)")
    #expect(found["viewer"] as? Int == 403 && found["stranger"] as? Int == 401)
    #expect(found["ready"] as? String == "ready" && found["closed"] as? Int == 1000)

    let messages = found["messages"] as? [[String: Any]] ?? []
    let types = messages.compactMap { $0["type"] as? String }
    // It came while half of the sound had not been sent yet.
    #expect(types.first == "partial" && types.last == "done", "\(types)")
    let finals = messages.filter { $0["type"] as? String == "final" }
    let text = finals.compactMap { $0["text"] as? String }.joined(separator: " ")
    #expect(text.contains("call me back tomorrow"), "\(text)")
    let words = finals.flatMap { $0["words"] as? [[String: Any]] ?? [] }
    #expect(words.compactMap { $0["text"] as? String }.joined(separator: " ") == text)
    #expect(zip(words, words.dropFirst()).allSatisfy { ($0["end_ms"] as? Int ?? 0) <= ($1["start_ms"] as? Int ?? 0) })
    let duration = try #require(messages.last?["duration_ms"] as? Int)
    #expect(duration > 2_000)

    #expect(found["fifth"] as? String == "error")
    let busy = found["busy"] as? [Any] ?? []
    #expect(busy.first as? Int == 1013 && (busy.last as? String ?? "").contains("4 streams"), "\(busy)")

    try gateway.wait(for: 1, of: #"vg_speech_api_requests_total{operation="stream",outcome="ok"}"#)
    #expect(try gateway.metric(#"vg_speech_api_requests_total{operation="stream",outcome="busy"}"#) >= 1)
    let heard = try gateway.metric(#"vg_speech_api_audio_seconds_sum{operation="stream"}"#)
    #expect(heard >= Double(duration) / 1000)
    let trail = try gateway.json("/v1/audit?action=GET%20/v1/speech/stream")["items"] as? [[String: Any]] ?? []
    #expect(trail.contains { $0["outcome"] as? String == "denied" && $0["status"] as? Int == 403 })
    let kept = trail.filter { $0["outcome"] as? String == "ok" }.compactMap { $0["details"] as? [String: Any] }
    #expect(kept.contains { $0["audio_ms"] as? Int == duration }, "\(trail)")
    #expect(!"\(trail)".contains("tomorrow"))
  }

  /// A call that runs while recordings are transcribed hears and answers as before.
  @Test func transcriptionsLeaveCallsAlone() throws {
    let gateway = try Gateway()
    let busy = Process()
    busy.executableURL = URL(fileURLWithPath: Tools.python("python"))
    busy.arguments = [
      "\(Tools.root)/Tests/EndToEnd/Clients/openai_speech.py", "http://127.0.0.1:\(gateway.apiPort)",
      "end-to-end-token",
    ]
    busy.standardOutput = FileHandle.nullDevice
    try busy.run()
    let (result, json) = try Tools.parleyJSON(
      [
        "call", gateway.uri("helpdesk"), "--say", "please reset my password", "--hangup", "--hints",
        "\(Tools.root)/examples/dialogs/helpdesk.yaml",
      ])
    #expect(result.status == 0, "\(result.errors)")
    #expect(try gateway.lastCall().states.contains("password"), "\(json)")
    #expect(try gateway.metric("vg_audio_buffer_underruns_total") == 0)
    busy.waitUntilExit()
    #expect(busy.terminationStatus == 0)
  }
}
