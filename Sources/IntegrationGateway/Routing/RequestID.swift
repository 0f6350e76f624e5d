import Base
import HTTPTypes
import Telemetry

/// Finds one request in answers and logs.
enum RequestID {
  /// The client's own, where it is one; else a new one.
  static func of(_ headers: HTTPFields) -> String {
    if let given = headers[.requestID], (1...64).contains(given.utf8.count),
      given.utf8.allSatisfy({ byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."):
          true
        default: false
        }
      })
    {
      return given
    }
    var random = SystemRandomNumberGenerator()
    return ULID.make(unixMilliseconds: WallClock.nowMilliseconds(), using: &random)
  }
}
