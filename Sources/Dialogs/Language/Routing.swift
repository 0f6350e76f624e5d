import Base

/// One rule of `routing.match`: every part that is given must fit. `*` stands for any characters.
public struct RoutingRule: Sendable, Hashable {
  public var to: String?
  public var from: String?
  public var trunk: String?
  /// Header name in lower case and the pattern of its value.
  public var headers: [String: String]
  public var position: SourcePosition
}

/// What a dialog can know of its call from the start.
public struct CallFacts: Sendable {
  public var session: SessionID
  public var callerID: String
  public var calledNumber: String
  /// `sip:user@host` of From and of the Request-URI.
  public var fromURI: String
  public var toURI: String
  public var trunk: String?
  public var headers: [(name: String, value: String)]

  public init(
    session: SessionID = SessionID(""), callerID: String = "", calledNumber: String = "", fromURI: String = "",
    toURI: String = "", trunk: String? = nil, headers: [(name: String, value: String)] = []
  ) {
    self.session = session
    self.callerID = callerID
    self.calledNumber = calledNumber
    self.fromURI = fromURI
    self.toURI = toURI
    self.trunk = trunk
    self.headers = headers
  }
}

/// Finds the dialog for a call: of all rules that fit, the most specific one decides; of equals, the dialog that comes first.
public struct DialogRouter: Sendable {
  /// In the order they were loaded.
  public let dialogs: [Dialog]

  public init(_ dialogs: [Dialog]) { self.dialogs = dialogs }

  /// The dialog that answers the call; nil where none does (404).
  public func route(_ call: CallFacts) -> Dialog? { nil }
}
