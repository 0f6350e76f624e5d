import Base
import Testing

@Suite struct TimestampTests {
  @Test(
    arguments: [
      ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777_000), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
      ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799_000), ("Sat, 01 Mar 2025 00:00:00 GMT", 1_740_787_200_000),
      ("Wed, 31 Dec 2025 12:00:00 GMT", 1_767_182_400_000),
    ] as [(String, Int64)]) func httpDatesAreRead(_ text: String, _ milliseconds: Int64)
  {
    #expect(Timestamp.milliseconds(httpDate: text) == milliseconds)
  }

  @Test(arguments: [
    "", "120", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 6 Nov 1994 08:49:37 GMT",
    "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 32 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 24:49:37 GMT",
    "Sun, 06 Nov 1994 8:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov -994 08:49:37 GMT",
  ]) func otherTextsAreNoDates(_ text: String) { #expect(Timestamp.milliseconds(httpDate: text) == nil) }

  @Test func whatIsWrittenIsReadBack() {
    for day in stride(from: 0, to: 40_000, by: 13) as StrideTo<Int64> {
      let ms = day * 86_400_000
      let text = Timestamp.text(unixMilliseconds: ms)
      let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
      let parts = text.prefix(10).split(separator: "-")
      let date = "Mon, \(parts[2]) \(month[(Int(parts[1]) ?? 1) - 1]) \(parts[0]) 00:00:00 GMT"
      #expect(Timestamp.milliseconds(httpDate: date) == ms, "\(text)")
      #expect(Timestamp.milliseconds(rfc3339: text) == ms, "\(text)")
    }
  }

  @Test(arguments: [
    (Int64(0), "1970-01-01T00:00:00.000Z"), (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
    (951_782_400_000, "2000-02-29T00:00:00.000Z"), (4_102_444_800_001, "2100-01-01T00:00:00.001Z"),
    (-1, "1969-12-31T23:59:59.999Z"), (-86_400_000, "1969-12-31T00:00:00.000Z"),
  ])
  func theTimeOfDayIsRFC3339(milliseconds: Int64, text: String) {
    #expect(Timestamp.text(unixMilliseconds: milliseconds) == text)
    #expect(Timestamp.milliseconds(rfc3339: text) == milliseconds)
    #expect(Value.time(milliseconds) == .string(text))
  }

  @Test func noTimeIsNull() { #expect(Value.time(nil) == .null) }

  @Test(
    arguments: [
      ("2026-01-31T23:59:59Z", 1_769_903_999_000), ("2026-01-31t23:59:59.1z", 1_769_903_999_100),
      ("2026-02-01 01:29:59.123456789+01:30", 1_769_903_999_123), ("2026-01-31T12:00:00-11:59", 1_769_903_940_000),
    ] as [(String, Int64)]) func timesOfClientsAreRead(_ text: String, _ milliseconds: Int64)
  {
    #expect(Timestamp.milliseconds(rfc3339: text) == milliseconds)
  }

  @Test(arguments: [
    "", "2026-01-31", "2026-01-31T23:59:59", "2026-02-29T00:00:00Z", "2026-00-01T00:00:00Z", "2026-13-01T00:00:00Z",
    "2026-01-31T24:00:00Z", "2026-01-31T23:60:00Z", "2026-01-31T23:59:60Z", "2026-01-31T23:59:59.Z",
    "2026-01-31T23:59:59.1234567890Z", "2026-01-31T23:59:59+24:00", "2026-01-31T23:59:59Zulu", "+026-01-31T23:59:59Z",
  ]) func otherTextsAreNoTimes(_ text: String) { #expect(Timestamp.milliseconds(rfc3339: text) == nil) }
}

@Suite struct CivilDateTests {
  /// Against a calendar that is walked day by day.
  @Test func everyDayOfAThousandYearsIsItself() {
    var year = 1582, month = 1, day = 1, dayOfYear = 1
    func isLeap(_ year: Int) -> Bool { year % 400 == 0 || (year % 4 == 0 && year % 100 != 0) }
    for days in -141_714...224_000 {
      let date = CivilDate(daysSince1970: days)
      guard date == CivilDate(year: year, month: month, day: day), date.daysSince1970 == days,
        date.dayOfYear == dayOfYear
      else {
        Issue.record("day \(days) is \(date), not \(year)-\(month)-\(day)")
        return
      }
      let lengths = [31, isLeap(year) ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
      day += 1
      dayOfYear += 1
      if day > lengths[month - 1] { (day, month) = (1, month + 1) }
      if month > 12 { (month, dayOfYear, year) = (1, 1, year + 1) }
    }
  }

  @Test func daysThatNoMonthHasAreNone() {
    #expect(CivilDate(year: 2023, month: 2, day: 29) == nil)
    #expect(CivilDate(year: 2024, month: 2, day: 29) != nil)
    #expect(CivilDate(year: 2024, month: 4, day: 31) == nil)
    #expect(CivilDate(year: 2024, month: 0, day: 1) == nil)
    #expect(CivilDate(year: 2024, month: 1, day: 0) == nil)
  }
}

@Suite struct HexadecimalTests {
  @Test func whatIsWrittenIsReadBack() {
    let bytes = Array(UInt8.min...UInt8.max)
    #expect(bytes.hexadecimal.hasPrefix("000102") && bytes.hexadecimal.hasSuffix("fdfeff"))
    #expect([UInt8](hexadecimal: bytes.hexadecimal) == bytes)
    #expect([UInt8](hexadecimal: bytes.hexadecimal.uppercased()) == bytes)
    #expect([UInt8](hexadecimal: "") == [])
  }

  @Test(arguments: ["0", "0g", "0x", " 0", "+1", "\u{FF10}\u{FF10}"]) func otherTextsAreNone(_ text: String) {
    #expect([UInt8](hexadecimal: text) == nil)
  }
}
