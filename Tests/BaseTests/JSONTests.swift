import Base
import Testing

@Suite struct JSONTests {
  @Test(arguments: [
    (#"null"#, Value.null), ("true", .bool(true)), ("-12", .int(-12)), ("1.5e3", .double(1500)),
    (#""a\"b\u00e9""#, .string("a\"bé")),
    ("[]", .list([])), ("[1,[2]]", .list([.int(1), .list([.int(2)])])),
    (#"{"a":{"b":null}}"#, .map(["a": .map(["b": .null])])),
    ("9223372036854775807", .int(.max)), ("9223372036854775808", .double(9223372036854775808)),
    (#""\ud83d\ude00""#, .string("😀")),
  ])
  func readsWhatTheRFCAllows(_ text: String, _ value: Value) throws { #expect(try JSON.decode(text) == value) }

  @Test(arguments: [
    "", "nul", "01", "-", "1.", "1e", "[1,]", "{\"a\"}", "{a:1}", "\"", "\"\u{1}\"", #""\x""#, #""\ud83d""#, "1 2",
    "[1", "1e999",
    String(repeating: "[", count: 100),
  ])
  func refusesTheRest(_ text: String) { #expect(throws: JSON.ParseError.self) { try JSON.decode(text) } }

  @Test func writesWhatItReads() throws {
    let value: Value = ["b": [1, 2.5, true, nil, "line\nbreak \"and\" \\ é 😀 \u{1}"], "a": ["nested": [:]]]
    let text = JSON.encode(value)
    #expect(try JSON.decode(text) == value)
    #expect(text.hasPrefix(#"{"a":"#), "keys are not sorted: \(text)")
    #expect(!text.contains("\n"))
  }

  @Test func whatJSONCannotSayIsNull() {
    #expect(JSON.encode(.list([.double(.infinity), .double(.nan)])) == "[null,null]")
  }

  /// Mutated documents are read or refused, never crash, and what is read survives being written.
  @Test func survivesMutation() {
    var random = SeededRandom(seed: 11)
    let seed = Array(#"{"k":[1,-2.5e3,"xé",null,true,{"d":"\n"}]}"#.utf8)
    for _ in 0..<20_000 {
      var bytes = seed
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      if let value = try? JSON.decode(bytes) { #expect((try? JSON.decode(JSON.encode(value))) == value) }
    }
  }
}
