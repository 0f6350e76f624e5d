import AsyncHTTPClient
import Base
import NIOCore
import NIOHTTP1
import Settings

/// Sends one event to one webhook, once: signs it, posts it, and says what came back. Any thread.
public struct WebhookSender: Sendable {
  /// What is sent. `deliveryID` is the same for every attempt at one event.
  public struct Message: Sendable {
    public var url: String
    /// What it is signed with, the newest secret first.
    public var secrets: [Secret]
    public var type: String
    public var deliveryID: String
    public var body: [UInt8]
    /// W3C Trace Context: the trace of the event's call; empty: none.
    public var traceparent = ""

    public init(url: String, secrets: [Secret], type: String, deliveryID: String, body: [UInt8]) {
      self.url = url
      self.secrets = secrets
      self.type = type
      self.deliveryID = deliveryID
      self.body = body
    }
  }

  /// What came back.
  public struct Answer: Sendable, Hashable {
    /// 0: no answer came.
    public var status: Int
    /// What went wrong, in one sentence; empty where nothing did.
    public var error: String
    /// When the receiver wants to be asked again.
    public var retryAfter: Duration?
    /// The beginning of the answer's body.
    public var excerpt: String
    public var durationMs: Int

    public init(status: Int, error: String = "", retryAfter: Duration? = nil, excerpt: String = "", durationMs: Int = 0)
    {
      self.status = status
      self.error = error
      self.retryAfter = retryAfter
      self.excerpt = excerpt
      self.durationMs = durationMs
    }

    public var isDelivered: Bool { (200..<300).contains(status) && error.isEmpty }
    /// 410: the receiver wants nothing any more.
    public var isGone: Bool { status == 410 }
    /// The receiver asks for time: 429, or 503 that says how much.
    public var isDeferred: Bool { status == 429 || (status == 503 && retryAfter != nil) }
  }

  /// Names an event on its way to a webhook: the same for every attempt, another for another webhook.
  public static func deliveryID(event: String, webhook: String) -> String { "\(event).\(webhook)" }

  /// Characters of an answer's body that are kept.
  public static let excerptCharacters = 500
  /// Bytes of an answer that are read, so that its connection can be used again; a longer answer is cut off.
  static let answerBytes = 64 * 1024

  private let client: OutboundClient
  private let product: String
  private let nowMs: @Sendable () -> Int64

  /// - Parameters:
  ///   - product: the `User-Agent`.
  ///   - nowMs: wall-clock milliseconds, for the timestamp of signatures.
  public init(client: OutboundClient, product: String, nowMs: @escaping @Sendable () -> Int64) {
    self.client = client
    self.product = product
    self.nowMs = nowMs
  }

  /// - Parameter timeout: for the whole exchange.
  public func send(_ message: Message, timeout: Duration) async -> Answer {
    let began = Instant.monotonic()
    func elapsed() -> Int { Int((Instant.monotonic() - began).milliseconds) }
    let seconds = nowMs() / 1000
    var request = HTTPClientRequest(url: message.url)
    request.method = .POST
    request.headers = [
      "Content-Type": "application/json", "User-Agent": product, "X-Parley-Event": message.type,
      "X-Parley-Delivery": message.deliveryID, PayloadSignature.timestampHeader: "\(seconds)",
      PayloadSignature.header: PayloadSignature(secrets: message.secrets).value(body: message.body, timestamp: seconds),
    ]
    if !message.traceparent.isEmpty { request.headers.add(name: "traceparent", value: message.traceparent) }
    request.body = .bytes(ByteBuffer(bytes: message.body))
    let response: HTTPClientResponse
    do {
      response = try await client.execute(request, timeout: timeout)
    } catch {
      return Answer(status: 0, error: "\(error)", durationMs: elapsed())
    }
    let status = Int(response.status.code)
    var answer = Answer(status: status, error: Self.error(status))
    answer.retryAfter = response.headers.first(name: "Retry-After").flatMap { Self.retryAfter($0, nowMs: nowMs()) }
    var bytes: [UInt8] = []
    do {
      // The status is the answer; what cannot be read of the body is only missing from the excerpt.
      for try await part in response.body {
        bytes += part.readableBytesView
        if bytes.count > Self.answerBytes { break }
      }
    } catch {}
    answer.excerpt = Self.excerpt(bytes)
    answer.durationMs = elapsed()
    return answer
  }

  static func error(_ status: Int) -> String {
    switch status {
    case 200..<300: ""
    case 300..<400: "the receiver answered \(status); redirects are not followed: give the webhook its new URL"
    default: "the receiver answered \(status)"
    }
  }

  /// Seconds, or an HTTP date (RFC 9110 section 10.2.3); nil for what is neither.
  static func retryAfter(_ text: String, nowMs: Int64) -> Duration? {
    if text.utf8.count <= 9, let seconds = Int64(text), seconds >= 0 { return .seconds(seconds) }
    return Timestamp.milliseconds(httpDate: text).map { .milliseconds(max(0, $0 - nowMs)) }
  }

  /// Text for a person, whatever the bytes are.
  static func excerpt(_ bytes: [UInt8]) -> String {
    let text = String(decoding: bytes.prefix(4 * excerptCharacters), as: UTF8.self)
    return String(text.unicodeScalars.prefix(excerptCharacters).map { $0.value < 0x20 ? " " : Character($0) })
  }
}
