import Base

/// What is known of a call when it is offered. Immutable for its life.
public struct CallInfo: Sendable {
  public enum Direction: String, Sendable { case inbound, outbound }

  public var session: SessionID
  public var direction: Direction
  /// The user part of From (a number or a name), without display name.
  public var callerID: String
  /// The user part of the Request-URI.
  public var calledNumber: String
  /// `sip:user@host` of From and of the Request-URI: what `routing.match` looks at.
  public var fromURI: String
  public var toURI: String
  /// The trunk the call came over; nil for none.
  public var trunk: String?
  /// The offer's headers that no SIP machinery consumes, as received.
  public var headers: [(name: String, value: String)]
  /// The signalling peer, `host:port`.
  public var source: String

  public init(
    session: SessionID, direction: Direction, callerID: String, calledNumber: String, fromURI: String, toURI: String,
    trunk: String? = nil, headers: [(name: String, value: String)] = [], source: String = ""
  ) {
    self.session = session
    self.direction = direction
    self.callerID = callerID
    self.calledNumber = calledNumber
    self.fromURI = fromURI
    self.toURI = toURI
    self.trunk = trunk
    self.headers = headers
    self.source = source
  }
}

/// Who or what ended a call, closed so that metrics can label by it.
public enum HangupReason: String, Sendable, CaseIterable {
  /// The caller hung up.
  case caller
  /// The dialog reached its end (`hangup`, or a terminal state).
  case normal
  /// Refused before an answer.
  case busy, rejected
  /// The caller gave up before an answer.
  case cancelled
  /// Ended by REST.
  case api
  /// No media for `media.reconnection_timeout`.
  case mediaTimeout = "media_timeout"
  /// The gateway is stopping and the drain limit has passed.
  case shutdown
  /// Something failed on our side; the event log says what.
  case error
}

/// The reasons with which a call can be refused, and the SIP status each becomes.
public enum RejectReason: String, Sendable {
  case busy, rejected, notFound = "not_found", unavailable, error
}

/// A digit of the keypad: `0-9`, `*`, `#`, `A-D`.
public typealias Digit = Character
