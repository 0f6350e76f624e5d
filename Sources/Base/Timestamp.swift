/// Points of wall-clock time as records, clients and servers write them.
public enum Timestamp {
  private static let dayMs: Int64 = 86_400_000

  /// RFC 3339 in UTC with milliseconds: `2026-01-31T23:59:59.123Z`.
  public static func text(unixMilliseconds: Int64) -> String {
    let (whole, rest) = unixMilliseconds.quotientAndRemainder(dividingBy: dayMs)
    let date = CivilDate(daysSince1970: Int(rest < 0 ? whole - 1 : whole))
    let inDay = Int(rest < 0 ? rest + dayMs : rest)
    func pad(_ number: Int, _ width: Int) -> String {
      let text = String(number)
      return String(repeating: "0", count: max(0, width - text.count)) + text
    }
    return "\(pad(date.year, 4))-\(pad(date.month, 2))-\(pad(date.day, 2))T\(pad(inDay / 3_600_000, 2)):"
      + "\(pad(inDay / 60_000 % 60, 2)):\(pad(inDay / 1000 % 60, 2)).\(pad(inDay % 1000, 3))Z"
  }

  /// Milliseconds since 1970 of an HTTP date (RFC 9110 section 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`, the only form that
  /// may be sent today; nil for everything else.
  public static func milliseconds(httpDate text: String) -> Int64? {
    let words = text.split(separator: " ")
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    guard words.count == 6, words[0].utf8.count == 4, words[0].hasSuffix(","), words[5] == "GMT",
      let day = number(words[1], 2), let month = months.firstIndex(of: String(words[2])),
      let year = number(words[3], 4),
      let date = CivilDate(year: year, month: month + 1, day: day)
    else { return nil }
    let time = words[4].split(separator: ":", omittingEmptySubsequences: false)
    guard time.count == 3, let hour = number(time[0], 2), let minute = number(time[1], 2),
      let second = number(time[2], 2), hour < 24, minute < 60, second <= 60
    else { return nil }
    return Int64(date.daysSince1970 * 86_400 + hour * 3600 + minute * 60 + second) * 1000
  }

  private static func number(_ text: Substring, _ digits: Int) -> Int? {
    text.utf8.count == digits && text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(text) : nil
  }

  /// Milliseconds since 1970 of a time as RFC 3339 section 5.6 writes it, with a `Z` or an offset; nil for everything else, leap
  /// seconds included.
  public static func milliseconds(rfc3339 text: String) -> Int64? {
    var rest = Array(text.utf8)[...]
    func digits(_ count: Int) -> Int? {
      guard rest.count >= count else { return nil }
      var number = 0
      for byte in rest.prefix(count) {
        guard (0x30...0x39).contains(byte) else { return nil }
        number = number * 10 + Int(byte - 0x30)
      }
      rest = rest.dropFirst(count)
      return number
    }
    func mark(_ marks: String) -> UInt8? {
      guard let byte = rest.first, marks.utf8.contains(byte) else { return nil }
      rest = rest.dropFirst()
      return byte
    }
    guard let year = digits(4), mark("-") != nil, let month = digits(2), mark("-") != nil, let day = digits(2),
      mark("Tt ") != nil, let hour = digits(2), mark(":") != nil, let minute = digits(2), mark(":") != nil,
      let second = digits(2), let date = CivilDate(year: year, month: month, day: day), hour < 24, minute < 60,
      second < 60
    else { return nil }
    var millisecond = 0
    if mark(".") != nil {
      let fraction = rest.prefix { (0x30...0x39).contains($0) }
      guard !fraction.isEmpty, fraction.count <= 9 else { return nil }
      for i in 0..<3 {
        millisecond = millisecond * 10 + (i < fraction.count ? Int(fraction[fraction.startIndex + i] - 0x30) : 0)
      }
      rest = rest.dropFirst(fraction.count)
    }
    guard let zone = mark("Zz+-") else { return nil }
    var offset = 0
    if zone == UInt8(ascii: "+") || zone == UInt8(ascii: "-") {
      guard let hours = digits(2), mark(":") != nil, let minutes = digits(2), hours < 24, minutes < 60 else {
        return nil
      }
      offset = (hours * 60 + minutes) * (zone == UInt8(ascii: "-") ? -1 : 1)
    }
    guard rest.isEmpty else { return nil }
    let minutes = Int64(date.daysSince1970) * 1440 + Int64(hour * 60 + minute - offset)
    return (minutes * 60 + Int64(second)) * 1000 + Int64(millisecond)
  }
}

extension Value {
  /// A point of wall-clock time as text, see ``Timestamp``; null for none.
  public static func time(_ unixMilliseconds: Int64?) -> Value {
    unixMilliseconds.map { .string(Timestamp.text(unixMilliseconds: $0)) } ?? .null
  }
}
