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

/// Finds the dialog for a call. Of all rules that fit, the most specific decides: the one with the most fixed characters, a
/// trunk and each header counting as one long text. Of equals, the dialog that comes first.
///
/// A dialog without rules answers calls to its own name (`sip:helpdesk@...`), and every call where it is the only dialog.
public struct DialogRouter: Sendable {
  /// In the order they were loaded.
  public let dialogs: [Dialog]

  public init(_ dialogs: [Dialog]) { self.dialogs = dialogs }

  /// The dialog that answers the call; nil where none does (404).
  public func route(_ call: CallFacts) -> Dialog? {
    var best: (dialog: Dialog, specificity: Int)?
    for dialog in dialogs {
      for rule in dialog.routing {
        guard let specificity = rule.specificity(for: call) else { continue }
        if specificity > best?.specificity ?? -1 { best = (dialog, specificity) }
      }
    }
    if let best { return best.dialog }
    if let named = dialogs.first(where: { $0.name.lowercased() == call.calledNumber.lowercased() }) { return named }
    return dialogs.count == 1 && dialogs[0].routing.isEmpty ? dialogs[0] : nil
  }
}

extension RoutingRule {
  /// How much of the call the rule fixes; nil where it does not fit.
  func specificity(for call: CallFacts) -> Int? {
    var total = 0
    if let to {
      guard Self.fits(to, call.toURI) else { return nil }
      total += to.filter { $0 != "*" }.count
    }
    if let from {
      guard Self.fits(from, call.fromURI) else { return nil }
      total += from.filter { $0 != "*" }.count
    }
    if let trunk {
      guard let own = call.trunk, Self.fits(trunk, own) else { return nil }
      total += 1_000
    }
    for (name, pattern) in headers {
      guard call.headers.contains(where: { $0.name.lowercased() == name && Self.fits(pattern, $0.value) }) else {
        return nil
      }
      total += 1_000
    }
    return total
  }

  /// `*` stands for any characters; upper and lower case are the same. `sips:` and a missing scheme count as `sip:`.
  static func fits(_ pattern: String, _ text: String) -> Bool {
    let pattern = Array(normalized(pattern).utf8), text = Array(normalized(text).utf8)
    // Greedy with one step back: linear in practice, at worst the product of the lengths.
    var p = 0, t = 0, star = -1, mark = 0
    while t < text.count {
      if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
        star = p
        mark = t
        p += 1
      } else if p < pattern.count, pattern[p] == text[t] {
        p += 1
        t += 1
      } else if star >= 0 {
        p = star + 1
        mark += 1
        t = mark
      } else {
        return false
      }
    }
    while p < pattern.count, pattern[p] == UInt8(ascii: "*") { p += 1 }
    return p == pattern.count
  }

  private static func normalized(_ text: String) -> String {
    let lower = text.lowercased()
    for scheme in ["sip:", "sips:"] where lower.hasPrefix(scheme) { return String(lower.dropFirst(scheme.count)) }
    return lower
  }
}
