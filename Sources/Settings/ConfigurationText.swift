import Base

/// Shows a configuration, and explains all of it.
public enum ConfigurationText {
  /// The effective configuration as YAML that the loader takes again; secrets are masked, keys of later versions left out.
  public static func yaml(_ configuration: Configuration) -> String {
    var out = ""
    write(ConfigurationKeys.all, configuration, depth: 0, to: &out)
    return out
  }

  /// The same as plain data.
  public static func value(_ configuration: Configuration) -> Value {
    .map(Dictionary(uniqueKeysWithValues: ConfigurationKeys.all.compactMap { $0.shown(configuration) }))
  }

  /// The text of `docs/configuration.md`.
  public static func reference() -> String {
    var out = """
      # Configuration

      <!-- Written by `make reference` from Sources/Settings; do not edit. -->

      One YAML file: `--config`, else `PARLEY_CONFIG`, else `\(ConfigurationLoader.defaultPath)`, else the defaults below.
      `${NAME}` (or `${env:NAME}`) and `${NAME:-default}` stand for environment variables, `${file:PATH}` for the content of a
      file, `$${` for a plain `${`. `${file:PATH|uri}` and `${env:NAME|uri}` write what is special in an address as `%40`, so that
      any password can stand there: `postgres://parley:${file:/run/secrets/db|uri}@db.internal/parley`.

      Every key can be overridden by the environment variable beside it; lists are written `a,b` there, mappings in YAML.
      Durations are `250ms`, `10s`, `5m`, `2h`, `30d`. An unknown key is an error that names its place and the nearest known
      key. `parley config check` finds all of them at once; `parley config show` prints what is in force.


      """
    for field in ConfigurationKeys.all {
      guard case .section(let fields) = field.content else { continue }
      out += "## `\(field.name)`\n\n\(field.explanation)\n\n| key | default | value | meaning |\n|---|---|---|---|\n"
      let start = Configuration()
      rows(fields, path: [field.name], root: start, to: &out)
      out += "\n"
      if field.name == "integration" {
        out += "### A service of `integration.services`\n\n| key | default | value | meaning |\n|---|---|---|---|\n"
        serviceRows(IntegrationKeys.service, path: [], to: &out)
        out += "\n"
      }
    }
    out += """
      ## Keys of later versions

      These names are fixed already. Until the version that brings them, they are refused with `C006` unless they have one of
      the values here, which say that they are not used.

      | key | accepted |
      |---|---|

      """
    later(ConfigurationKeys.all, path: [], to: &out)
    later(IntegrationKeys.service, path: ["integration", "services", "NAME"], to: &out)
    out += "\n## Error codes\n\n| code | meaning |\n|---|---|\n"
    for (code, meaning) in ConfigurationCode.meanings { out += "| `\(code)` | \(meaning) |\n" }
    return out
  }

  // MARK: YAML

  private static func write<Root>(_ fields: [Field<Root>], _ root: Root, depth: Int, to out: inout String) {
    let indent = String(repeating: "  ", count: depth)
    for field in fields {
      switch field.content {
      case .section(let inner):
        var body = ""
        write(inner, root, depth: depth + 1, to: &body)
        if !body.isEmpty { out += "\(indent)\(field.name):\n\(body)" }
      case .leaf(let leaf): write(field.name, leaf.show(root), indent, to: &out)
      case .later: break
      }
    }
  }

  private static func write(_ name: String, _ value: Value, _ indent: String, to out: inout String) {
    if case .map(let map) = value, !map.isEmpty {
      out += "\(indent)\(key(name)):\n"
      for (name, value) in map.sorted(by: { $0.key < $1.key }) where value != .null {
        write(name, value, indent + "  ", to: &out)
      }
    } else {
      out += "\(indent)\(key(name)): \(flow(value))\n"
    }
  }

  private static func flow(_ value: Value) -> String {
    switch value {
    case .string(let text): isPlain(text) ? text : quoted(text)
    case .list(let items): "[" + items.map(flow).joined(separator: ", ") + "]"
    default: JSON.encode(value)
    }
  }

  /// In double quotes; a `${` must not be expanded again.
  private static func quoted(_ text: String) -> String {
    var out = ""
    var rest = Substring(text)
    while let start = rest.firstRange(of: "${") {
      out += rest[..<start.lowerBound] + "$${"
      rest = rest[start.upperBound...]
    }
    return JSON.encode(.string(out + rest))
  }

  private static func key(_ name: String) -> String { isPlain(name) ? name : JSON.encode(.string(name)) }

  private static func isPlain(_ text: String) -> Bool {
    guard let first = text.unicodeScalars.first else { return false }
    let isWord = first.properties.isAlphabetic || first == "/"
    // `30s`, `0.0.0.0` and `1-2` are texts; what YAML could take for a number is quoted.
    let isTextWithDigit =
      ("0"..."9").contains(first) && Double(text) == nil && !text.contains(":") && !text.hasPrefix("0x")
      && !text.hasPrefix("0o")
    guard isWord || isTextWithDigit else { return false }
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
    return !words.contains(text.lowercased()) && !text.hasSuffix(":")
      && text.unicodeScalars.allSatisfy { scalar in
        scalar.isASCII
          && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
            || "/._-:+".unicodeScalars.contains(scalar))
      } && !text.contains(": ")
  }

  // MARK: The reference

  private static func rows<Root>(_ fields: [Field<Root>], path: [String], root: Root, to out: inout String) {
    for field in fields {
      let path = path + [field.name]
      switch field.content {
      case .section(let inner): rows(inner, path: path, root: root, to: &out)
      case .leaf(let leaf):
        let name = path.joined(separator: ".")
        let variable = Decoding.variable(for: path)
        out += "| `\(name)`<br>`\(variable)` | `\(flow(leaf.show(root)))` | \(leaf.kind) | \(field.explanation) |\n"
      case .later: break
      }
    }
  }

  private static func serviceRows(_ fields: [Field<IntegrationSettings.Service>], path: [String], to out: inout String)
  {
    for field in fields {
      let path = path + [field.name]
      switch field.content {
      case .section(let inner): serviceRows(inner, path: path, to: &out)
      case .leaf(let leaf):
        let value = leaf.show(IntegrationSettings.Service())
        let shown = value == .null || value == .string("") ? "" : "`\(flow(value))`"
        out += "| `\(path.joined(separator: "."))` | \(shown) | \(leaf.kind) | \(field.explanation) |\n"
      case .later: break
      }
    }
  }

  private static func later<Root>(_ fields: [Field<Root>], path: [String], to out: inout String) {
    for field in fields {
      let path = path + [field.name]
      switch field.content {
      case .section(let inner): later(inner, path: path, to: &out)
      case .later(let accepted):
        let values = accepted.map { "`\(JSON.encode($0))`" }.joined(separator: ", ")
        out += "| `\(path.joined(separator: "."))` | \(values) |\n"
      case .leaf: break
      }
    }
  }
}
