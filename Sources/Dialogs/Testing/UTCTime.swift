/// A point in time in UTC as people write it, without a calendar library.
enum UTCTime {
  /// `2026-03-01 09:30`, `2026-03-01T09:30:15.250Z` as milliseconds since 1970.
  static func milliseconds(_ text: String) -> Int64? {
    var text = text[...]
    if text.last == "Z" { text = text.dropLast() }
    var fraction: Int64 = 0
    if let point = text.firstIndex(of: ".") {
      let digits = text[text.index(after: point)...]
      guard digits.count == 3, let ms = Int64(digits), ms >= 0 else { return nil }
      fraction = ms
      text = text[..<point]
    }
    var numbers: [Int64] = []
    for piece in text.split(whereSeparator: { "- :T".contains($0) }) {
      guard piece.count <= 4, let number = Int64(piece), number >= 0 else { return nil }
      numbers.append(number)
    }
    guard numbers.count >= 3, numbers.count <= 6 else { return nil }
    while numbers.count < 6 { numbers.append(0) }
    let (year, month, day) = (numbers[0], numbers[1], numbers[2])
    guard (1970...9999).contains(year), (1...12).contains(month), (1...31).contains(day), numbers[3] < 24,
      numbers[4] < 60, numbers[5] < 60
    else { return nil }
    // Days since 1970 of a date, with years that begin in March so that the leap day is the last.
    let y = month <= 2 ? year - 1 : year
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let days = y * 365 + y / 4 - y / 100 + y / 400 + dayOfYear - 719_468
    return ((days * 24 + numbers[3]) * 60 + numbers[4]) * 60_000 + numbers[5] * 1_000 + fraction
  }

  /// `2026-03-01T09:30:15.250Z`.
  static func text(milliseconds: Int64) -> String {
    func padded(_ number: Int64, _ width: Int) -> String {
      let text = String(number)
      return String(repeating: "0", count: max(0, width - text.count)) + text
    }
    let days = milliseconds / 86_400_000
    let ms = milliseconds % 86_400_000
    // The same counting backwards; see above.
    let z = days + 719_468
    let era = z / 146_097
    let dayOfEra = z % 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let m = (5 * dayOfYear + 2) / 153
    let month = m < 10 ? m + 3 : m - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return "\(padded(year, 4))-\(padded(month, 2))-\(padded(dayOfYear - (153 * m + 2) / 5 + 1, 2))"
      + "T\(padded(ms / 3_600_000, 2)):\(padded(ms / 60_000 % 60, 2)):\(padded(ms / 1_000 % 60, 2)).\(padded(ms % 1_000, 3))Z"
  }
}
