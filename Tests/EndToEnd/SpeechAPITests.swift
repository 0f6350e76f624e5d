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
