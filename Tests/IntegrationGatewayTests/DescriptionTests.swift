import Base
import IntegrationGateway
import NIOHTTP1
import Testing

/// What the gateway says of its own API.
@Suite struct DescriptionTests {
  @Test func theDescriptionNamesWhatIsServed() async throws {
    try await Gateway.with { gateway async throws in
      let answer = try await gateway.send(gateway.request("/openapi.json", token: nil))
      #expect(answer.json["openapi"] == "3.1.0")
      guard case .map(let paths)? = answer.json["paths"] else { return #expect(Bool(false), "no paths") }
      #expect(paths["/v1/calls/{id}/hangup"]?["post"]?["requestBody"] != nil)
      let schema = paths["/v1/calls/{id}/tts"]?["post"]?["requestBody"]?["content"]?["application/json"]?["schema"]
      #expect(schema?["required"] == ["text"])
      #expect(schema?["properties"]?["speed"]?["maximum"] == 2)
      // Every path that is described answers something else than 404 for lack of a route.
      for path in paths.keys where path != "/v1/calls/events" {
        let real = path.split(separator: "/").map { $0 == "{id}" ? "S1" : $0.hasPrefix("{") ? "menu" : String($0) }
          .joined(
            separator: "/")
        let asked = try await gateway.get("/" + real)
        #expect(asked.json["type"] != "urn:parley:problem:not_found", "\(path)")
      }
    }
  }

  @Test func theReferencePageShowsEveryRoute() async throws {
    try await Gateway.with { gateway async throws in
      let page = try await gateway.send(gateway.request("/docs", token: nil))
      #expect(page.status == 200)
      #expect(page.headers.first(name: "Content-Type") == "text/html; charset=utf-8")
      guard case .map(let paths)? = gateway.service.openAPI["paths"] else { return #expect(Bool(false), "no paths") }
      for path in paths.keys { #expect(page.text.contains("<code>\(path)</code>"), "\(path)") }
      #expect(!page.text.contains("<script"))
    }
  }

  @Test func theDescriptionNamesTheKeyWhereItIsHeeded() async throws {
    try await Gateway.with { gateway async throws in
      guard case .map(let paths)? = gateway.service.openAPI["paths"] else { return #expect(Bool(false), "no paths") }
      var without: Set<String> = []
      for (path, methods) in paths {
        guard let post = methods["post"], case .list(let parameters)? = post["parameters"] else { continue }
        if !parameters.contains(where: { $0["name"] == "Idempotency-Key" }) { without.insert(path) }
      }
      // A secret, a sound, or what is made of a file.
      let expected: Set = [
        "/v1/tokens", "/v1/webhooks", "/v1/webhooks/{id}/rotate-secret", "/v1/speech/synthesize", "/v1/audio/speech",
        "/v1/speech/transcribe", "/v1/audio/transcriptions",
      ]
      #expect(without == expected)
    }
  }
}
