/// In which of its two languages Prometheus is told.
public enum ExpositionFormat: Sendable, Hashable {
  /// The Prometheus text format, version 0.0.4.
  case prometheus
  /// OpenMetrics 1.0, which can name traces beside values.
  case openMetrics

  public var contentType: String {
    switch self {
    case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
    case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
    }
  }

  /// What an `Accept` header asks for (RFC 9110 section 12.5.1); OpenMetrics only where it is named and not wanted less than text.
  public init(accept: [String]) {
    var openMetrics = 0.0, text = 0.0
    for range in accept.joined(separator: ",").split(separator: ",").prefix(32) {
      let parts = range.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" }.lowercased() }
      var quality = 1.0
      for part in parts.dropFirst() where part.hasPrefix("q=") { quality = Double(part.dropFirst(2)) ?? 0 }
      // A version that we do not speak: 0.0.1 is a draft that no server of today needs.
      let version = parts.dropFirst().first { $0.hasPrefix("version=") }?.dropFirst(8)
      switch parts.first {
      case "application/openmetrics-text" where version == nil || version == "1.0.0":
        openMetrics = max(openMetrics, quality)
      case "text/plain", "text/*": text = max(text, quality)
      default: break
      }
    }
    self = openMetrics > 0 && openMetrics >= text ? .openMetrics : .prometheus
  }
}

/// The text that is being written.
struct Exposition {
  private let format: ExpositionFormat
  private var out = ""

  init(_ format: ExpositionFormat) { self.format = format }

  mutating func begin(_ name: String, _ kind: MetricKind, _ help: String) {
    // In OpenMetrics a counter's name is without the suffix that its sample has.
    let isCounter = format == .openMetrics && kind == .counter && name.hasSuffix("_total")
    let family = isCounter ? String(name.dropLast("_total".count)) : name
    out += "# HELP \(family) \(escape(help, quotes: format == .openMetrics))\n# TYPE \(family) \(kind.rawValue)\n"
  }

  mutating func sample(_ name: String, _ labels: [String], _ values: [String], _ value: Double) {
    out += "\(name)\(text(labels, values)) \(number(value))\n"
  }

  mutating func histogram(_ name: String, _ labels: [String], _ values: [String], _ histogram: Histogram) {
    let counts = histogram.cumulative
    let exemplars = format == .openMetrics ? histogram.exemplars : []
    for (place, count) in counts.enumerated() {
      let bound = place < histogram.buckets.count ? bound(histogram.buckets[place]) : "+Inf"
      out += "\(name)_bucket\(text(labels, values, le: bound)) \(count)"
      if place < exemplars.count, let exemplar = exemplars[place] {
        let at = "\(exemplar.unixMs / 1000).\(String(1000 + exemplar.unixMs % 1000).dropFirst())"
        out += " # {trace_id=\"\(escape(exemplar.trace, quotes: true))\"} \(number(exemplar.value)) \(at)"
      }
      out += "\n"
    }
    out += "\(name)_sum\(text(labels, values)) \(number(histogram.sum))\n"
    out += "\(name)_count\(text(labels, values)) \(counts.last ?? 0)\n"
  }

  consuming func finish() -> String {
    if format == .openMetrics { out += "# EOF\n" }
    return out
  }

  private func text(_ labels: [String], _ values: [String], le: String? = nil) -> String {
    var pairs = zip(labels, values).map { "\($0)=\"\(escape($1, quotes: true))\"" }
    if let le { pairs.append("le=\"\(le)\"") }
    return pairs.isEmpty ? "" : "{" + pairs.joined(separator: ",") + "}"
  }

  /// OpenMetrics writes bounds as floating-point numbers.
  private func bound(_ value: Double) -> String { format == .openMetrics ? "\(value)" : number(value) }

  private func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    return Int64(exactly: value).map { String($0) } ?? "\(value)"
  }

  private func escape(_ text: String, quotes: Bool) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\"" where quotes: out += "\\\""
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }
}
