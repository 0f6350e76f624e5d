import Base
import HTTPTypes
import NIOCore

/// One path and method of the API: what it takes, what it answers, and what does it. Requests are checked against this, and
/// `GET /openapi.json` is made of it.
struct APIRoute: Sendable {
  indirect enum Kind: Sendable {
    case string, integer, number, boolean, strings
    /// A JSON object with any members.
    case object
    /// Any JSON.
    case any
    /// An object of known members.
    case record(Shape)
    case records(Shape)
  }

  /// An object with a name of its own in the description.
  struct Shape: Sendable {
    var name: String
    var explanation = ""
    var fields: [Field]
    /// Whether there may be members beside them.
    var isOpen = false
  }

  /// The texts of a WebSocket, each a JSON object.
  struct Messages: Sendable {
    var ofClient: [Shape] = []
    var ofServer: [Shape] = []
  }

  /// A value in the query, the body or the answer.
  struct Field: Sendable {
    var name: String
    var kind: Kind
    var explanation: String
    var isRequired = false
    var fallback: Value?
    /// The only values there are; empty: any.
    var choices: [String] = []
    var range: ClosedRange<Double>?
    /// Characters of a text, or of each text; nil: at most ``APILimits/text``.
    var length: ClosedRange<Int>?
    /// Members of a list.
    var count: ClosedRange<Int> = 0...1000
    var syntax: Syntax?
    /// Answers: whether it may be null.
    var isNullable = false
    var example: Value?
  }

  /// What a text has to look like.
  struct Syntax: Sendable {
    /// A regular expression (ECMA 262) for the description.
    var pattern: String?
    /// A format of JSON Schema for the description.
    var format: String?
    /// After "must be".
    var words: String
    var fits: @Sendable (String) -> Bool
  }

  /// What the body is.
  enum Payload: Sendable {
    /// A JSON object, checked against ``body``.
    case json
    /// A file, and nothing is read before the route does it (``APIRequest/upload``): a form (`multipart/form-data`) with the file
    /// in the part of this name and the fields of ``body`` in the others, or the file alone, as one of `types`.
    case file(part: String, types: [String], limit: Int)
  }

  var method: HTTPRequest.Method
  /// `/v1/calls/{id}`: a segment in braces takes any text.
  var path: String
  var summary: String
  var isOpen = false
  /// Who may use it, beside admins.
  var roles: Set<Role> = [.operate, .developer, .viewer]
  var query: [Field] = []
  var body: [Field] = []
  var payload = Payload.json
  /// Whether the body may also be YAML (`application/yaml` and its older names): the field `source` then, and no other.
  var takesYAML = false
  /// The answer in a few words, for the description.
  var answer: String
  /// What the JSON of the answer is; nil: an object of any members.
  var result: Shape?
  /// The statuses of success.
  var statuses: [HTTPResponse.Status] = [.ok]
  /// Media types of the answer, the usual one first.
  var answerTypes = ["application/json"]
  /// Whether the answer holds a secret that must be kept nowhere.
  var hasSecret = false
  /// Whether answers carry an entity tag, so that a client need not fetch what it has (RFC 9110 section 13).
  var hasTag = false
  /// Whether a change heeds `If-Match` and `If-None-Match` (RFC 9110 section 13.1).
  var isConditional = false
  var isStream = false
  /// The longest that an answer may take; nil: that of every request.
  var answerTime: Duration?
  /// Serves a WebSocket that a GET has opened; when this returns, the socket is closed. A problem that is thrown is the
  /// reason of the close frame.
  var socket: (@Sendable (APIRequest, APISocket) async throws -> Void)?
  /// What such a socket's messages are, for the description.
  var messages = Messages()
  /// Whether the audit log names it although it changes nothing.
  var leavesTrace = false
  var handle: @Sendable (APIRequest) async throws -> APIAnswer = { _ in throw APIProblem.onlyWebSocket }

  var takesFile: Bool { if case .file = payload { true } else { false } }

  /// Whether an `Idempotency-Key` is heeded: where the whole request can be read, and its answer be kept.
  var takesKey: Bool { method == .post && !hasSecret && !takesFile && answerTypes == ["application/json"] }

  /// The group that the description shows it in: the first segment after the version.
  var group: String {
    let segments = path.split(separator: "/")
    return segments.first == "v1" && segments.count > 1 ? String(segments[1]) : "gateway"
  }
}

extension APIRoute.Syntax {
  static let dateTime = APIRoute.Syntax(
    format: "date-time", words: "a time like 2026-01-31T23:59:59Z (RFC 3339)",
    fits: { Timestamp.milliseconds(rfc3339: $0) != nil })

  /// Letters, digits and a few marks: what every name in a path or a dialog is made of.
  static let name = APIRoute.Syntax(
    pattern: "^[A-Za-z0-9_-][A-Za-z0-9_.-]*$", words: "letters, digits, `_`, `-` and `.`, no `.` first",
    fits: { text in
      text.utf8.first != UInt8(ascii: ".")
        && text.utf8.allSatisfy { byte in
          switch byte {
          case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."):
            true
          default: false
          }
        }
    })

  static let eventName = APIRoute.Syntax(
    pattern: "^[A-Za-z][A-Za-z0-9_.-]*$", words: "letters, digits, `_`, `-` and `.`, a letter first",
    fits: { text in
      text.utf8.first.map { (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) } == true && name.fits(text)
    })

  static let digits = APIRoute.Syntax(
    pattern: "^[0-9*#A-Da-d]+$", words: "keys of a telephone: 0-9 * # A-D",
    fits: { $0.utf8.allSatisfy { "0123456789*#ABCDabcd".utf8.contains($0) } })

  /// Something to read or say: not only white space, as ECMA 262 (section 22.2.2.9) means it: with the byte order mark, and
  /// without NEL.
  static let words = APIRoute.Syntax(
    pattern: "\\S", words: "a text that is not empty",
    fits: { text in
      text.unicodeScalars.contains { scalar in
        scalar.value == 0x85 || !(scalar.properties.isWhitespace || scalar.value == 0xFEFF)
      }
    })
}
