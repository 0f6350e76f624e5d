/// What an endpoint has seen and done since it started. Every count only grows.
public struct SIPCounters: Sendable {
  /// A request and its final status: the labels of `vg_sip_requests_total{method,status}`.
  public struct Outcome: Hashable, Sendable {
    /// A known method's name, or `OTHER`: bounded, whatever arrives.
    public let method: String
    public let status: Int

    public init(method: String, status: Int) {
      self.method = method
      self.status = status
    }
  }

  /// Requests received, by the final status that we answered with.
  public internal(set) var served: [Outcome: Int] = [:]
  /// Requests sent, by the final status that came back (408 and 503 where none did).
  public internal(set) var sent: [Outcome: Int] = [:]
  /// Requests received, retransmissions included, by method.
  public internal(set) var requestsReceived: [String: Int] = [:]
  /// Responses received, retransmissions included, by status.
  public internal(set) var responsesReceived: [Int: Int] = [:]
  /// Messages that could not be read, answered with 400 or not.
  public internal(set) var malformed: [SIPParseError.Reason: Int] = [:]
  /// Messages that were not read, by why. Never `pass`.
  public internal(set) var screened: [SIPScreen.Verdict: Int] = [:]
  /// Requests refused with 482 because another copy is being handled.
  public internal(set) var merged = 0
  /// Requests of our own that came back, refused with 482.
  public internal(set) var looped = 0
  /// Requests and responses that arrived again.
  public internal(set) var retransmissionsReceived = 0
  /// Requests and responses that we sent again.
  public internal(set) var retransmissionsSent = 0
  /// Well-formed messages that belong to nothing: stray responses and ACKs.
  public internal(set) var dropped = 0
  /// Requests refused with 503 because a limit was reached or the endpoint is draining.
  public internal(set) var overloaded = 0
  /// Keep-alive pings (RFC 5626 4.4.1) on streams and in datagrams.
  public internal(set) var keepAlives = 0
  /// Connections that were closed because no pong came.
  public internal(set) var deadFlows = 0
  /// Requests with the right password.
  public internal(set) var authenticated = 0
  /// Requests with a wrong one.
  public internal(set) var wrongPasswords = 0
  /// Requests that were refused or dropped for where they came from.
  public internal(set) var unwanted = 0
  /// Commands of the owner for a call that was not in a state for them (it had just ended, mostly).
  public internal(set) var commandsIgnored = 0

  public init() {}
}
