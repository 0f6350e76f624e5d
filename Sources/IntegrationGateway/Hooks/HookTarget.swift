import Base
import CallLink
import Settings

/// Where a hook goes.
struct HookTarget: Sendable {
  var service: IntegrationSettings.Service
  var url: String
  /// The service's name in metrics and sentences; `url` for a full URL.
  var label: String

  static func find(_ request: HookRequest, _ settings: IntegrationSettings) -> Result<HookTarget, HookFailure> {
    if let problem = headerProblem(request.headers) { return .failure(HookFailure("refused", problem)) }
    let isFull = request.url.hasPrefix("http://") || request.url.hasPrefix("https://")
    if isFull, request.service.isEmpty {
      return .success(HookTarget(service: .init(url: request.url), url: request.url, label: "url"))
    }
    guard !isFull else {
      return .failure(HookFailure("refused", "a hook takes a service or a full URL, not both"))
    }
    guard let service = settings.services[request.service] else {
      let near = nearest(to: request.service, in: settings.services.keys.sorted()).map { "; did you mean `\($0)`?" }
      return .failure(
        HookFailure(
          "unknown_service",
          request.service.isEmpty
            ? "the hook names no service" : "there is no service `\(request.service)`" + (near ?? "")))
    }
    switch (request.kind, service.type) {
    case (.http, .http): break
    case (.listTools, .mcp), (.callTool, .mcp):
      return .success(HookTarget(service: service, url: service.url, label: request.service))
    case (.http, .mcp):
      return .failure(HookFailure("refused", "`\(request.service)` is a server of tools, not a backend for hooks"))
    case (.listTools, .http), (.callTool, .http):
      return .failure(HookFailure("refused", "`\(request.service)` is no server of tools (type mcp)"))
    }
    let path = request.url.isEmpty ? request.path : request.url
    guard path.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
      return .failure(HookFailure("refused", "the hook's path holds characters that no URL has"))
    }
    guard !leavesItsPlace(path) else {
      return .failure(HookFailure("refused", "the hook's path leaves the service"))
    }
    var base = Substring(service.url)
    while base.hasSuffix("/") { base.removeLast() }
    let url = path.isEmpty ? String(base) : path.hasPrefix("/") ? base + path : "\(base)/\(path)"
    return .success(HookTarget(service: service, url: url, label: request.service))
  }

  /// Whether a path would not stay below the service's URL, however its server reads it: with `%2e` for a dot (RFC 3986 section
  /// 6.2.2.2), `%2f` or a backslash for a slash, or parameters behind a segment.
  private static func leavesItsPlace(_ path: String) -> Bool {
    let plain = path.prefix { $0 != "?" && $0 != "#" }.lowercased()
      .replacing("%2e", with: ".").replacing("%2f", with: "/").replacing("%5c", with: "/").replacing("%3b", with: ";")
    return plain.split(whereSeparator: { $0 == "/" || $0 == "\\" }).contains { $0.prefix { $0 != ";" } == ".." }
  }

  /// A dialog may add headers, but not frame the message, pretend to be another session, or break out of its line.
  private static func headerProblem(_ headers: [String: String]) -> String? {
    for (name, value) in headers.sorted(by: { $0.key < $1.key }) {
      guard IntegrationSettings.isHeaderName(name), !reserved.contains(name.lowercased()) else {
        return "a hook cannot set the header `\(name)`"
      }
      guard IntegrationSettings.isHeaderValue(value) else { return "the hook's header `\(name)` has no valid value" }
    }
    return nil
  }

  private static let reserved: Set<String> = [
    "x-parley-session", "x-parley-timestamp", "x-parley-signature-256", "idempotency-key", "mcp-session-id",
  ]
}
