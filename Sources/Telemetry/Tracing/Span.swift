import Base

/// One stretch of a trace that is over.
public struct Span: Sendable, Hashable {
  /// How it stands to whoever asked, by OTLP's numbers.
  public enum Kind: Int, Sendable { case inside = 1, server = 2, client = 3 }

  public enum Status: Sendable, Hashable {
    case unset
    case ok
    /// With a short reason that names no person and quotes nobody.
    case error(String)
  }

  /// Attributes of one span, and bytes of one text among them: what a slip cannot exceed.
  public static let attributeLimit = 32
  public static let textLimit = 1_024

  public var context: TraceContext
  /// nil for the first span of a trace.
  public var parent: SpanID?
  public var name: String
  public var kind: Kind
  /// Wall-clock nanoseconds since 1970.
  public var startNs: Int64
  public var endNs: Int64
  public private(set) var attributes: [String: Value] = [:]
  public var status = Status.unset

  public init(
    _ name: String, context: TraceContext, parent: SpanID?, kind: Kind = .inside, startNs: Int64, endNs: Int64,
    attributes: [String: Value] = [:], status: Status = .unset
  ) {
    self.name = name
    self.context = context
    self.parent = parent
    self.kind = kind
    self.startNs = startNs
    self.endNs = max(startNs, endNs)
    self.status = status
    for (key, value) in attributes.sorted(by: { $0.key < $1.key }) { set(key, value) }
  }

  /// Sets one attribute; what is over the limits is cut or left out.
  public mutating func set(_ key: String, _ value: Value) {
    guard attributes[key] != nil || attributes.count < Self.attributeLimit else { return }
    if case .string(let text) = value, text.utf8.count > Self.textLimit {
      attributes[key] = .string(String(text.prefix(Self.textLimit / 4)))
    } else {
      attributes[key] = value
    }
  }
}

/// Spans as an OTLP collector takes them over HTTP: the JSON mapping of opentelemetry-proto 1.x, in which names of traces and
/// spans are hexadecimal and 64-bit numbers are texts.
public enum OTLP {
  /// Below the configured endpoint (OTLP/HTTP, `default URL path`).
  public static let path = "/v1/traces"

  /// The URL that spans are posted to; an endpoint that names the path already is taken as it is.
  public static func url(endpoint: String) -> String {
    var base = Substring(endpoint)
    while base.hasSuffix("/") { base.removeLast() }
    return base.hasSuffix(path) ? String(base) : base + path
  }

  /// One request.
  /// - Parameter resource: what the process is: `service.name` and its like.
  public static func request(_ spans: [Span], resource: [String: Value], version: String) -> [UInt8] {
    var out: [UInt8] = []
    let body: Value = [
      "resourceSpans": [
        [
          "resource": ["attributes": attributes(resource)],
          "scopeSpans": [
            ["scope": ["name": "parley", "version": .string(version)], "spans": .list(spans.map(encode))]
          ],
        ]
      ]
    ]
    JSON.write(body, to: &out)
    return out
  }

  private static func encode(_ span: Span) -> Value {
    var members: [String: Value] = [
      "traceId": .string(span.context.traceID.description), "spanId": .string(span.context.spanID.description),
      // Bit 0 is the sampled flag of the context, as in `traceparent`.
      "flags": .int(span.context.isSampled ? 1 : 0), "name": .string(span.name),
      "kind": .int(Int64(span.kind.rawValue)),
      "startTimeUnixNano": .string(String(span.startNs)), "endTimeUnixNano": .string(String(span.endNs)),
      "attributes": attributes(span.attributes),
    ]
    if let parent = span.parent { members["parentSpanId"] = .string(parent.description) }
    if !span.context.state.isEmpty { members["traceState"] = .string(span.context.state.description) }
    switch span.status {
    case .unset: break
    case .ok: members["status"] = ["code": 1]
    case .error(let reason): members["status"] = ["code": 2, "message": .string(reason)]
    }
    return .map(members)
  }

  private static func attributes(_ attributes: [String: Value]) -> Value {
    .list(
      attributes.sorted { $0.key < $1.key }.map { ["key": .string($0.key), "value": any($0.value)] })
  }

  private static func any(_ value: Value) -> Value {
    switch value {
    case .null: [:]
    case .bool(let value): ["boolValue": .bool(value)]
    case .int(let value): ["intValue": .string(String(value))]
    case .double(let value): ["doubleValue": .double(value)]
    case .string(let value): ["stringValue": .string(value)]
    case .list(let items): ["arrayValue": ["values": .list(items.map(any))]]
    case .map(let map):
      [
        "kvlistValue": [
          "values": .list(
            map.sorted { $0.key < $1.key }.map { ["key": .string($0.key), "value": any($0.value)] })
        ]
      ]
    }
  }

  /// How many spans of a request the collector has refused although it took the request (`partial_success`).
  public static func rejectedSpans(_ answer: [UInt8]) -> Int {
    guard let value = try? JSON.decode(answer), let count = value["partialSuccess"]?["rejectedSpans"] else { return 0 }
    return max(0, count.stringValue.flatMap { Int($0) } ?? Int(count.intValue ?? 0))
  }
}
