/// A statement in the common language as PostgreSQL wants it: `$1`, `$2` for each `?` that is no part of a text or a name.
enum PostgresStatement {
  static func text(_ sql: String) -> String {
    var out = ""
    out.reserveCapacity(sql.utf8.count + 16)
    var number = 0
    var quote: Character?
    for character in sql {
      if let open = quote {
        // A doubled quote closes and opens again, which comes to the same.
        if character == open { quote = nil }
        out.append(character)
      } else if character == "'" || character == "\"" {
        quote = character
        out.append(character)
      } else if character == "?" {
        number += 1
        out += "$\(number)"
      } else {
        out.append(character)
      }
    }
    return out
  }

  /// Whether it is worth a plan that is kept: questions and changes are, steps of the schema are not.
  static func isKept(_ sql: String) -> Bool {
    ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].contains { sql.hasPrefix($0) }
  }
}

/// The types of PostgreSQL that Parley sends and reads, by their fixed numbers (`pg_type.dat`).
enum PostgresType: UInt32 {
  case bool = 16
  case bytes = 17
  case int8 = 20
  case int2 = 21
  case int4 = 23
  case text = 25
  case oid = 26
  case float4 = 700
  case float8 = 701
  case numeric = 1700

  /// 0 lets the server find out.
  static func number(of value: SQLValue) -> UInt32 {
    switch value {
    case .null: 0
    case .int: int8.rawValue
    case .real: float8.rawValue
    case .text: text.rawValue
    case .bytes: bytes.rawValue
    }
  }

  /// A value as the server writes it in text.
  static func value(_ bytes: UnsafeBufferPointer<UInt8>, type: UInt32) -> SQLValue {
    let text = { String(decoding: bytes, as: UTF8.self) }
    switch PostgresType(rawValue: type) {
    case .int2, .int4, .int8, .oid: return Int64(text()).map { .int($0) } ?? .text(text())
    case .float4, .float8: return Double(text()).map { .real($0) } ?? .text(text())
    // Sums of whole numbers come as these.
    case .numeric:
      let text = text()
      return Int64(text).map { .int($0) } ?? Double(text).map { .real($0) } ?? .text(text)
    case .bool: return .int(bytes.first == UInt8(ascii: "t") ? 1 : 0)
    case .bytes: return .bytes(hexadecimal(bytes))
    case .text, nil: return .text(text())
    }
  }

  /// `\x00FF` (`bytea_output = hex`).
  private static func hexadecimal(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8] {
    func digit(_ byte: UInt8) -> UInt8 { byte <= 0x39 ? byte &- 0x30 : (byte | 0x20) &- 0x57 }
    guard text.count >= 2 else { return [] }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count / 2)
    var place = 2
    while place + 1 < text.count {
      bytes.append(digit(text[place]) << 4 | digit(text[place + 1]))
      place += 2
    }
    return bytes
  }
}

/// What the server said of a statement, or why there was no answer.
struct PostgresFailure: Error {
  /// Five characters (PostgreSQL manual, appendix A); empty where the connection was lost.
  var code: String
  var message: String
  /// Whether the connection can be used again.
  var isLost: Bool

  /// Another transaction was in the way, or the plan is stale: the same may succeed at once.
  var mayRepeat: Bool { ["40001", "40P01", "0A000", "26000"].contains(code) && !isLost }

  func explained(_ fallback: StorageError.Code) -> StorageError {
    if isLost || code.hasPrefix("08") || ["57P01", "57P02", "57P03", "53300", "25006"].contains(code) {
      return StorageError(.unavailable, "the database does not answer: \(message)")
    }
    switch code {
    case "53100": return StorageError(.diskFull, "no space left on the disk of the database")
    case "57014", "55P03": return StorageError(.unavailable, "the database took too long: \(message)")
    case "40001", "40P01": return StorageError(.unavailable, "too many changes at the same time: \(message)")
    default:
      return StorageError(
        fallback, "the database cannot be \(fallback == .readFailed ? "read" : "written"): \(message)")
    }
  }
}
