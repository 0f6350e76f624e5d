import Base
import Testing

@Suite("Speech markup") struct SpeechMarkupTests {
  private static func text(_ text: String, _ voices: [String] = [], _ speed: Double = 1) -> SpeechMarkup.Piece {
    .text(text, voices: voices, speed: speed)
  }

  @Test func aDocumentBecomesWordsAndPauses() throws {
    let markup = try SpeechMarkup(
      """
      <?xml version="1.0"?>
      <!DOCTYPE speak PUBLIC "-//W3C//DTD SYNTHESIS 1.0//EN" "http://www.w3.org/TR/speech-synthesis/synthesis.dtd">
      <speak version="1.1" xmlns="http://www.w3.org/2001/10/synthesis" xml:lang="en-US">
        <metadata><anything>not said</anything></metadata>
        <p><s>Good morning &amp; welcome.</s><s>It is <emphasis level="strong">late</emphasis>.</s></p>
        Wait <break time="1.5s"/> <mark name="here"/>now <break strength="weak"/><![CDATA[a < b]]> &#33;
        <!-- not said -->
      </speak>
      """)
    #expect(
      markup.pieces == [
        Self.text("Good morning & welcome."), .pause(ms: 220), Self.text("It is late."), .pause(ms: 500),
        Self.text("Wait"), .pause(ms: 1500), Self.text("now"), .pause(ms: 200), Self.text("a < b !"),
      ])
    #expect(markup.plainText == "Good morning & welcome. It is late. Wait now a < b !")
  }

  @Test func voiceAndPaceHoldForWhatStandsInThem() throws {
    let markup = try SpeechMarkup(
      """
      One <prosody rate="slow">two <prosody rate="200%">three</prosody></prosody>
      <voice name="nobody rms">four <prosody rate="-20%" pitch="high">five</prosody></voice> six
      """)
    #expect(
      markup.pieces == [
        Self.text("One"), Self.text("two", [], 0.75), Self.text("three", [], 1.5),
        Self.text("four", ["nobody", "rms"]),
        Self.text("five", ["nobody", "rms"], 0.8), Self.text("six"),
      ])
  }

  @Test(arguments: [
    ("characters", "", "AB-1", "A, B, dash, one"), ("digits", "", "4 0-7", "four zero seven"),
    ("cardinal", "", "1,250", "one thousand two hundred fifty"),
    ("cardinal", "", "-3.05", "minus three point zero five"),
    ("ordinal", "", "22nd", "twenty second"), ("ordinal", "", "100", "one hundredth"),
    ("date", "mdy", "3/4/2026", "March fourth, twenty twenty six"), ("date", "dm", "12.8.", "August twelfth"),
    ("date", "", "2005-11-30", "November thirtieth, two thousand five"), ("date", "y", "1905", "nineteen oh five"),
    ("date", "", "yesterday", "yesterday"), ("date", "mdy", "13/13/2026", "13/13/2026"),
    ("time", "hms24", "14:05", "two oh five P M"), ("time", "", "9am", "nine A M"), ("time", "", "25:00", "25:00"),
    ("telephone", "", "+1 800 555-0142", "plus one, eight zero zero, five five five, zero one four two"),
    ("currency", "", "$12.50", "twelve dollars and fifty cents"), ("currency", "", "1 EUR", "one euro"),
    ("currency", "", "GBP 0.01", "one penny"), ("currency", "", "lots", "lots"), ("poem", "", "a rose", "a rose"),
  ])
  func numbersAreReadAsWhatTheyAre(_ kind: String, _ format: String, _ text: String, _ words: String) throws {
    let markup = try SpeechMarkup("It is <say-as interpret-as='\(kind)' format='\(format)'>\(text)</say-as>, really")
    #expect(markup.plainText == "It is \(words), really")
  }

  @Test func whatIsWrittenGivesWayToWhatIsSaid() throws {
    let source = """
      <sub alias="World Wide Web Consortium">W3C<break/></sub> and <audio src="jingle.wav"><desc>a tune</desc>la la</audio>
      <say-as interpret-as="digits">12<break time="200ms"/>34</say-as> <amazon:effect name="whispered">psst</amazon:effect>
      """
    #expect(
      try SpeechMarkup(source).pieces == [
        Self.text("World Wide Web Consortium and la la one two"), .pause(ms: 200), Self.text("three four psst"),
      ])
  }

  @Test(arguments: [
    ("<speak>hello", "line 1, column 13: <speak> is not closed"),
    ("<s>hello</p>", "line 1, column 13: <s> is closed by </p>"),
    ("hello</s>", "line 1, column 10: </s> closes nothing"),
    ("fish & chips", "line 1, column 6: an & begins no entity here: write &amp;"),
    ("\n a < b", "line 2, column 5: a tag (write &lt; for the character) needs a name here"),
    ("&nbsp;", "line 1, column 1: there is no entity &nbsp;"), ("&#0;", "line 1, column 1: there is no entity &#0;"),
    ("<break time=1s/>", "line 1, column 13: the value of time must stand in quotes"),
    ("<break time='1h'/>", "line 1, column 19: a break's time is '1h': write it like 500ms or 1.5s"),
    ("<break time='1s' time='2s'/>", "line 1, column 27: <break> has the attribute time twice"),
    ("<prosody rate='warp'>x</prosody>", nil), ("<!-- never ending", nil), ("<![CDATA[ never", nil), ("<a b='", nil),
    ("<", nil), ("<a", nil), ("<a/", nil), ("&", nil), ("</", nil), ("<?xml", nil), ("<!ELEMENT x>", nil),
    ("<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><speak>&b;</speak>", nil),
  ])
  func malformedMarkupIsRefusedWithItsPlace(_ source: String, _ message: String?) {
    let error = #expect(throws: SpeechMarkupError.self) { try SpeechMarkup(source) }
    if let message { #expect(error?.description == message) }
  }

  @Test func nothingGrowsWithoutBound() throws {
    let deep = String(repeating: "<p>", count: 40) + "x" + String(repeating: "</p>", count: 40)
    let long = String(repeating: "word ", count: 14_000)
    let many = String(repeating: "a<break/>", count: 600)
    let attributes = (0..<40).map { " a\($0)=''" }.joined()
    for source in [deep, long, many, "<p\(attributes)/>"] {
      #expect(throws: SpeechMarkupError.self) { try SpeechMarkup(source) }
    }
    #expect(try SpeechMarkup("<break time='99999999s'/>").pieces == [.pause(ms: SpeechMarkup.maxPauseMs)])
    #expect(try SpeechMarkup("<break time='9s'/><break time='9s'/>").pieces == [.pause(ms: SpeechMarkup.maxPauseMs)])
  }

  @Test func anyTextIsReadOrRefused() {
    // What comes out of tearing real markup apart at random: an answer for each, in bounded time.
    let alphabet =
      Array("<>/&;'\"=! -[]?#x1as\u{E9}\n").map(String.init) + ["<s>", "</s>", "<break/>", "<say-as ", "]]>"]
    var random = SeededRandom(seed: 7)
    var refused = 0
    for _ in 0..<3_000 {
      let source = (0..<Int.random(in: 0..<20, using: &random)).map { _ in
        alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
      }.joined()
      do {
        for case .pause(let ms) in try SpeechMarkup(source).pieces { #expect(ms > 0) }
      } catch { refused += 1 }
    }
    #expect(refused > 1_000 && refused < 3_000)
  }

  @Test(arguments: [
    (0, "zero", "zeroth"), (13, "thirteen", "thirteenth"), (40, "forty", "fortieth"),
    (99, "ninety nine", "ninety ninth"),
    (1_000_001, "one million one", "one million first"), (-5, "minus five", "minus fifth"),
    (512, "five hundred twelve", "five hundred twelfth"),
  ])
  func numbersAreSpoken(_ value: Int, _ cardinal: String, _ ordinal: String) {
    #expect(SpokenNumber.cardinal(value) == cardinal)
    #expect(SpokenNumber.ordinal(value) == ordinal)
  }
}
