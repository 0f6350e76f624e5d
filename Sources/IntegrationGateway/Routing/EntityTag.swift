import Base
import HTTPTypes

/// Entity tags and the conditions on them (RFC 9110 sections 8.8.3 and 13.1).
enum EntityTag {
  /// The tag of an answer: a hash of its very bytes (FNV-1a, 64 bits: it tells versions apart and protects nothing).
  static func of(_ bytes: some Sequence<UInt8>) -> String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return "\"\(String(hash, radix: 16))\""
  }

  static func of(_ value: Value) -> String {
    var bytes: [UInt8] = []
    JSON.write(value, to: &bytes)
    return of(bytes)
  }

  /// Whether a list of tags names this one, which is strong.
  /// - Parameter weakly: whether a weak tag in the list names it, too: for answers from a cache, never for changes.
  static func names(_ list: String, _ tag: String, weakly: Bool) -> Bool {
    list.split(separator: ",").contains { item in
      let text = item.drop(while: \.isWhitespace)
      let bare = String(text.reversed().drop(while: \.isWhitespace).reversed())
      return bare == "*" || bare == tag || weakly && bare == "W/" + tag
    }
  }

  /// `If-Match` and `If-None-Match` of a change.
  /// - Parameter tag: of what is there now; nil: nothing is.
  /// - Returns: whether there was any condition.
  static func heedConditions(_ headers: HTTPFields, tag: String?) throws(APIProblem) -> Bool {
    if let wanted = headers[.ifMatch] {
      guard let tag, names(wanted, tag, weakly: false) else {
        throw APIProblem(
          .preconditionFailed, "changed", tag.map { "what is there is \($0)" } ?? "there is no such thing yet")
      }
      return true
    }
    if let unwanted = headers[.ifNoneMatch] {
      if let tag, names(unwanted, tag, weakly: true) {
        throw APIProblem(.preconditionFailed, "exists", "it is there already: \(tag)")
      }
      return true
    }
    return false
  }
}
