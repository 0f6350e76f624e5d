import Base
import HTTPTypes

/// The routes as one page for people: no script, nothing from elsewhere.
enum ReferencePage {
  static func html(_ routes: [APIRoute]) -> String {
    var groups: [(name: String, routes: [APIRoute])] = []
    for route in routes {
      if let i = groups.firstIndex(where: { $0.name == route.group }) {
        groups[i].routes.append(route)
      } else {
        groups.append((route.group, [route]))
      }
    }
    var text = """
      <!doctype html><html lang="en"><head><meta charset="utf-8"><title>Parley API</title>
      <meta name="viewport" content="width=device-width">
      <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
      <style>
      body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
      nav a{margin-right:1rem}h2{border-bottom:1px solid #ccc;margin-top:3rem}h3 code{font-size:1rem}
      details{border:1px solid #ddd;border-radius:6px;padding:.5rem 1rem;margin:.5rem 0}summary{cursor:pointer}
      table{border-collapse:collapse;width:100%}td,th{border-top:1px solid #eee;padding:.3rem .5rem;text-align:left;vertical-align:top}
      pre{background:#f5f6f8;padding:.7rem;overflow-x:auto;border-radius:6px}.m{font-weight:700}
      @media(prefers-color-scheme:dark){body{color:#ddd;background:#16181c}pre{background:#22262c}a{color:#8cf}details{border-color:#333}td,th{border-color:#333}}
      </style></head><body><h1>Parley API</h1>
      <p>Every route takes <code>Authorization: Bearer &lt;token&gt;</code>. The same for programs:
      <a href="/openapi.json">OpenAPI 3.1</a>.</p><nav>
      """
    for group in groups { text += "<a href=\"#\(escape(group.name))\">\(escape(group.name))</a>" }
    text += "</nav>"
    for group in groups {
      text += "<h2 id=\"\(escape(group.name))\">\(escape(group.name))</h2>"
      for route in group.routes { text += section(route) }
    }
    return text + "</body></html>\n"
  }

  private static func section(_ route: APIRoute) -> String {
    let roles =
      route.isOpen ? "nobody need be asked" : (["admin"] + route.roles.map(\.rawValue).sorted()).joined(separator: ", ")
    var text = """
      <details><summary><span class="m">\(route.method.rawValue)</span> <code>\(escape(route.path))</code> \(escape(route.summary))</summary>
      <p>Who may: \(roles). Answer: \(escape(route.answer)).</p>
      """
    text += table("Query", route.query) + table("Body", route.body)
    if let result = route.result { text += table("Answer", result.fields) }
    return text + "<pre>\(escape(curl(route)))</pre></details>"
  }

  private static func table(_ title: String, _ fields: [APIRoute.Field]) -> String {
    if fields.isEmpty { return "" }
    var text = "<table><tr><th>\(title)</th><th></th><th></th></tr>"
    for field in fields {
      var words = [field.kind.words]
      if field.isRequired, title == "Body" { words.append("required") }
      if let fallback = field.fallback { words.append("else \(JSON.encode(fallback))") }
      if let range = field.range { words.append("\(range.lowerBound) to \(range.upperBound)") }
      if !field.choices.isEmpty { words.append(field.choices.joined(separator: ", ")) }
      text +=
        "<tr><td><code>\(escape(field.name))</code></td><td>\(escape(words.joined(separator: "; ")))</td><td>\(escape(field.explanation))</td></tr>"
    }
    return text + "</table>"
  }

  private static func curl(_ route: APIRoute) -> String {
    var line = "curl"
    if route.method != .get { line += " -X \(route.method.rawValue)" }
    if !route.isOpen { line += " -H \"Authorization: Bearer $PARLEY_TOKEN\"" }
    let needed = route.body.filter { $0.isRequired }
    if route.takesFile {
      line += " -F file=@speech.wav"
    } else if !needed.isEmpty {
      var body: [String: Value] = [:]
      for field in needed {
        body[field.name] = field.example ?? field.choices.first.map { .string($0) } ?? sample(field.kind)
      }
      line += " -H 'Content-Type: application/json' -d '\(JSON.encode(.map(body)))'"
    }
    return line + " \"$PARLEY_URL\(route.path)\""
  }

  private static func sample(_ kind: APIRoute.Kind) -> Value {
    switch kind {
    case .string: "..."
    case .integer, .number: 1
    case .boolean: true
    case .strings, .records: []
    case .object, .record, .any: [:]
    }
  }

  private static func escape(_ text: String) -> String {
    var out = ""
    for character in text {
      switch character {
      case "&": out += "&amp;"
      case "<": out += "&lt;"
      case ">": out += "&gt;"
      case "\"": out += "&quot;"
      default: out.append(character)
      }
    }
    return out
  }
}
