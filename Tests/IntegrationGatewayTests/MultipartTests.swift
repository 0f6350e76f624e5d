import AsyncHTTPClient
import Base
import CallLink
import IntegrationGateway
import NIOCore
import NIOHTTP1
import Testing

/// Forms with files, well-formed and not, through the door where clients send them.
@Suite struct MultipartTests {
  private static let boundary = "4f1d-line"
  private static let type = "multipart/form-data; boundary=\(boundary)"

  private static func part(_ headers: String, _ content: String) -> String {
    "--\(boundary)\r\n\(headers)\r\n\r\n\(content)\r\n"
  }
  private static let file = part(#"Content-Disposition: form-data; name="audio"; filename="a.wav""#, "RIFF....")
  private static let end = "--\(boundary)--\r\n"

  private static func send(
    _ body: String, type: String = type, pieces: Int? = nil, to gateway: Gateway
  ) async throws -> Answer {
    var request = gateway.request("/v1/speech/transcribe", method: .POST)
    request.headers.add(name: "Content-Type", value: type)
    let bytes = Array(body.utf8)
    if let pieces {
      let parts = stride(from: 0, to: bytes.count, by: pieces).map { start in
        ByteBuffer(bytes: bytes[start..<min(bytes.count, start + pieces)])
      }
      request.body = .stream(parts.async, length: .unknown)
    } else {
      request.body = .bytes(ByteBuffer(bytes: bytes))
    }
    return try await gateway.send(request)
  }

  @Test func aFormIsTheSameHoweverItIsCut() async throws {
    try await Gateway.with { gateway in
      let desk = FakeDesk()
      gateway.service.connect(desk)
      // Nearly a boundary, in the middle of the content.
      let content = "RIFF\r\n--\(Self.boundary.dropLast())\r\r\n-\r\n--4f"
      let body =
        "a preamble\r\n" + Self.part(#"content-disposition: form-data; name=audio; filename="a \"b\".wav""#, content)
        + Self.part(#"Content-Disposition: form-data; name="language""#, "en-US")
        + Self.part(#"Content-Disposition: form-data; name="word_timestamps""#, "true")
        + Self.part(#"Content-Disposition: form-data; name="phrases""#, "one,two")
        + Self.part(#"Content-Disposition: form-data; name="phrases""#, "three") + Self.end + "an epilogue"
      for pieces in [nil, 1, 2, 3, 7, 64, 1000] {
        let answer = try await Self.send(body, pieces: pieces, to: gateway)
        #expect(answer.status == 200, "\(answer.text)")
        let asked = try #require(desk.transcriptions.last)
        #expect(String(decoding: asked.audio, as: UTF8.self) == content)
        #expect(asked.language == "en-US" && asked.phrases == ["one", "two", "three"])
      }
    }
  }

  @Test func whatIsMalformedIsSaid() async throws {
    try await Gateway.with { gateway in
      gateway.service.connect(FakeDesk())
      let language = Self.part(#"Content-Disposition: form-data; name="language""#, "en")
      for (body, type, status, detail) in [
        ("", Self.type, 400, "the form is empty"),
        (Self.file, Self.type, 400, "the form ends before its closing boundary"),
        (Self.end, Self.type, 400, "`audio` is missing"),
        (Self.file + Self.file + Self.end, Self.type, 400, "`audio` stands twice"),
        (Self.file + language + language + Self.end, Self.type, 400, "`language` stands twice"),
        (
          Self.file + Self.part(#"Content-Disposition: form-data; name="langage""#, "en") + Self.end, Self.type, 400,
          "did you mean `language`?"
        ),
        (Self.file + Self.part("Content-Type: text/plain", "x") + Self.end, Self.type, 400, "a part has no name"),
        (Self.file + Self.part("X: y\u{1}", "x") + Self.end, Self.type, 400, "control characters"),
        (
          Self.part("Content-Disposition: form-data; name=audio\r\nContent-Transfer-Encoding: base64", "x") + Self.end,
          Self.type, 400, "transfer encoding `base64`"
        ),
        (
          Self.part("Content-Disposition: form-data; name=audio; name=other", "x") + Self.end, Self.type, 400,
          "Content-Disposition"
        ),
        (Self.file + Self.end, "multipart/form-data", 400, "names no boundary"),
        (Self.file + Self.end, "multipart/mixed; boundary=x", 415, "is not taken here"),
        (Self.file + Self.end, "application/json", 415, "is not taken here"),
        (String(repeating: language, count: 260) + Self.end, Self.type, 413, "at most 256 parts"),
        (Self.part("X: " + String(repeating: "y", count: 5_000), "x") + Self.end, Self.type, 413, "headers"),
        (
          Self.file + Self.part("Content-Disposition: form-data; name=language", String(repeating: "e", count: 17_000))
            + Self.end, Self.type, 413, "`language` has more than"
        ),
        (String(repeating: "-", count: 5_000), Self.type, 400, "does not begin with"),
      ] {
        let answer = try await Self.send(body, type: type, to: gateway)
        #expect(answer.status == status, "\(body.prefix(80)): \(answer.text)")
        #expect(answer.text.contains(detail), "\(body.prefix(80)): \(answer.text)")
        #expect(answer.headers.first(name: "Content-Type") == "application/problem+json")
      }
    }
  }

  @Test func aFileThatIsTooLargeIsRefused() async throws {
    try await Gateway.with { gateway in
      gateway.service.connect(FakeDesk())
      var request = gateway.request("/v1/speech/transcribe", method: .POST)
      request.headers.add(name: "Content-Type", value: "audio/wav")
      request.body = .bytes(ByteBuffer(repeating: 0, count: (25 << 20) + 1))
      do {
        let answer = try await gateway.send(request)
        #expect(answer.status == 413 && answer.text.contains("25 MiB"))
      } catch {
        // The gateway may have closed before the client had sent it all.
      }
    }
  }

  /// Whatever comes is answered with 200 or 4xx.
  @Test func damageIsSurvived() async throws {
    try await Gateway.with { gateway in
      gateway.service.connect(FakeDesk())
      let whole = Array((Self.file + Self.part("Content-Disposition: form-data; name=language", "en") + Self.end).utf8)
      for seed in 0..<300 as Range<UInt64> {
        var random = SeededRandom(seed: seed)
        var bytes = whole
        for _ in 0..<Int.random(in: 1...4, using: &random) {
          switch Int.random(in: 0..<4, using: &random) {
          case 0: bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
          case 1: bytes.remove(at: Int.random(in: 0..<bytes.count, using: &random))
          case 2:
            let from = Int.random(in: 0..<bytes.count, using: &random)
            let to = Int.random(in: from..<bytes.count, using: &random)
            bytes.insert(contentsOf: bytes[from...to], at: to)
          default: bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random))
          }
          if bytes.isEmpty { bytes = whole }
        }
        var request = gateway.request("/v1/speech/transcribe", method: .POST)
        request.headers.add(name: "Content-Type", value: Self.type)
        request.body = .bytes(ByteBuffer(bytes: bytes))
        let answer = try await gateway.send(request)
        #expect(answer.status == 200 || (400..<500).contains(answer.status), "seed \(seed): \(answer.text)")
      }
    }
  }
}

extension Array where Element: Sendable {
  /// One after the other, as a body that comes in pieces.
  var async: AsyncStream<Element> {
    AsyncStream { out in
      for element in self { out.yield(element) }
      out.finish()
    }
  }
}
