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
    "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 32 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
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
    }
  }
}
