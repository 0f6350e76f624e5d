import Base
import CallLink
import Settings
import Storage

extension AuditRecord {
  /// That a backend was asked: who, where and with what outcome; neither what was said nor with which credentials.
  /// - Parameter redactor: takes what a caller said or keyed in out of the path, for the audit log is never forgotten.
  init(
    _ request: HookRequest, _ outcome: HookOutcome, _ settings: IntegrationSettings, redactor: Redactor, atMs: Int64
  ) {
    let service = settings.services[request.service]
    var details: [String: Value] = [
      "session_id": .string(request.session.value), "service": .string(request.service),
    ]
    switch request.kind {
    case .http:
      details["method"] = .string(
        request.method.isEmpty
          ? service?.method.rawValue ?? IntegrationSettings.Service.Method.post.rawValue : request.method)
    case .listTools: details["method"] = "tools/list"
    case .callTool(let name, _):
      details["method"] = "tools/call"
      details["tool"] = .string(name)
    }
    let kind: Outcome
    let answered: Int
    switch outcome {
    case .result(_, let status, let durationMs, let attempts):
      (kind, answered) = (.ok, status)
      details["duration_ms"] = .int(Int64(durationMs))
      details["attempts"] = .int(Int64(attempts))
    case .failure(let error, let status, _, let durationMs, let attempts):
      (kind, answered) = (error == "refused" ? .denied : .failed, status)
      details["error"] = .string(error)
      details["duration_ms"] = .int(Int64(durationMs))
      details["attempts"] = .int(Int64(attempts))
    }
    self.init(
      atMs: atMs, tenant: request.tenant, actor: "gateway", action: "hook",
      object: Self.address(request, service, redactor), outcome: kind, status: answered, details: details)
  }

  /// The URL without what may be secret in it: user, query and fragment.
  private static func address(
    _ request: HookRequest, _ service: IntegrationSettings.Service?, _ redactor: Redactor
  ) -> String {
    let isWhole = request.url.hasPrefix("http://") || request.url.hasPrefix("https://")
    var text = isWhole ? request.url : request.url.isEmpty ? request.path : request.url
    if !isWhole, let service {
      var base = Substring(service.url)
      while base.hasSuffix("/") { base.removeLast() }
      text = service.type == .mcp ? service.url : text.hasPrefix("/") ? base + text : "\(base)/\(text)"
    }
    text = String(text.prefix { $0 != "?" && $0 != "#" })
    guard let scheme = text.firstRange(of: "://") else { return redactor.redact(text) }
    let rest = text[scheme.upperBound...]
    let authority = rest.prefix { $0 != "/" }
    let host = authority.lastIndex(of: "@").map { authority[authority.index(after: $0)...] } ?? authority
    return text[..<scheme.upperBound] + host + redactor.redact(String(rest[authority.endIndex...]))
  }
}
