import HTTPTypes

/// What bodies and answers are made of (RFC 9110 sections 8.3 and 12.5.1).
enum MediaTypes {
  enum Format { case json, yaml }

  /// How the body is written. Without a type it is taken for JSON.
  static func format(of headers: HTTPFields, isEmpty: Bool, _ route: APIRoute) throws(APIProblem) -> Format {
    guard let header = headers[.contentType], !isEmpty else { return .json }
    let parts = header.split(separator: ";").map { $0.lowercased().filter { !$0.isWhitespace } }
    for parameter in parts.dropFirst() where parameter.hasPrefix("charset=") {
      let name = parameter.dropFirst(8).filter { $0 != "\"" }
      guard name == "utf-8" || name == "us-ascii" else {
        throw APIProblem(.unsupportedMediaType, "unsupported_charset", "bodies are UTF-8, not `\(name.prefix(32))`")
      }
    }
    let type = parts.first ?? ""
    if type == "application/json" || type.hasPrefix("application/") && type.hasSuffix("+json") { return .json }
    // RFC 9512, and the names from before it.
    let yaml = ["application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"]
    if route.takesYAML, yaml.contains(type) { return .yaml }
    let known = route.takesYAML ? "application/json or application/yaml" : "application/json"
    throw APIProblem(
      .unsupportedMediaType, "unsupported_media_type", "send `Content-Type: \(known)`, not `\(type.prefix(64))`")
  }

  /// Refuses a client that takes none of the route's answers.
  static func checkAccept(_ headers: HTTPFields, of route: APIRoute) throws(APIProblem) {
    let accepted = headers[values: .accept]
    guard !accepted.isEmpty else { return }
    let types = route.isStream ? ["text/event-stream"] : route.answerTypes
    for item in accepted.flatMap({ $0.split(separator: ",") }) {
      let parts = item.split(separator: ";").map { $0.lowercased().filter { !$0.isWhitespace } }
      guard let range = parts.first,
        !parts.dropFirst().contains(where: { ["q=0", "q=0.0", "q=0.00", "q=0.000"].contains($0) })
      else { continue }
      if range == "*/*"
        || types.contains(where: { $0 == range || range.hasSuffix("/*") && $0.hasPrefix(range.dropLast()) })
      {
        return
      }
    }
    throw APIProblem(.notAcceptable, "not_acceptable", "the answer is \(types.joined(separator: " or "))")
  }
}
