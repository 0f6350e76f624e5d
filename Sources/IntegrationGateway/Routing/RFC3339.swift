/// Reads times of day as clients write them.
enum RFC3339 {
  /// Section 5.6, with a `Z` or an offset; nil for everything else, leap seconds included.
  static func unixMilliseconds(_ text: String) -> Int64? {
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
      let second = digits(2), (1...12).contains(month), (1...lastDay(month, year)).contains(day), hour < 24,
      minute < 60,
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
    let minutes = Int64(days(year, month, day)) * 1440 + Int64(hour * 60 + minute - offset)
    return (minutes * 60 + Int64(second)) * 1000 + Int64(millisecond)
  }

  private static func lastDay(_ month: Int, _ year: Int) -> Int {
    switch month {
    case 4, 6, 9, 11: 30
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    default: 31
    }
  }

  /// Days since 1970, by years that begin in March.
  private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
    let y = month <= 2 ? year - 1 : year
    let era = (y >= 0 ? y : y - 399) / 400
    let yearOfEra = y - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }
}
