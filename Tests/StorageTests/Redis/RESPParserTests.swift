import Base
import NIOCore
import Storage
import Testing

/// What servers send is taken apart, in whatever pieces it comes.
@Suite struct RESPParserTests {
  /// Every kind of value, and what it is.
  private static let samples: [(wire: String, value: RESPValue)] = [
    ("+OK\r\n", .bytes(Array("OK".utf8))),
    ("-ERR no such thing\r\n", .error(RESPError("ERR no such thing"))),
    (":-42\r\n", .int(-42)),
    ("$5\r\na\r\nb\0\r\n", .bytes(Array("a\r\nb\0".utf8))),
    ("$0\r\n\r\n", .bytes([])),
    ("$-1\r\n", .null),
    ("*-1\r\n", .null),
    ("*0\r\n", .list([])),
    ("*3\r\n:1\r\n*2\r\n+a\r\n_\r\n$1\r\nx\r\n", .list([.int(1), .list([.bytes([97]), .null]), .bytes([120])])),
    ("_\r\n", .null),
    ("#t\r\n", .bool(true)),
    (",1.5\r\n", .double(1.5)),
    (",-inf\r\n", .double(-.infinity)),
    (
      "(3492890328409238509324850943850943825024385\r\n",
      .bytes(Array("3492890328409238509324850943850943825024385".utf8))
    ),
    ("!9\r\nNO reason\r\n", .error(RESPError("NO reason"))),
    ("=7\r\ntxt:abc\r\n", .bytes(Array("abc".utf8))),
    ("%2\r\n+a\r\n:1\r\n+b\r\n:2\r\n", .map([.bytes([97]), .int(1), .bytes([98]), .int(2)])),
    ("~2\r\n:1\r\n:2\r\n", .list([.int(1), .int(2)])),
    (">3\r\n+message\r\n+c\r\n$1\r\nx\r\n", .push([.bytes(Array("message".utf8)), .bytes([99]), .bytes([120])])),
    ("|1\r\n+ttl\r\n:3600\r\n:7\r\n", .int(7)),
    ("*2\r\n|1\r\n+ttl\r\n:1\r\n:7\r\n:8\r\n", .list([.int(7), .int(8)])),
  ]

  private func all(_ parser: inout RESPParser) throws -> [RESPValue] {
    var values: [RESPValue] = []
    while let value = try parser.next() { values.append(value) }
    return values
  }

  @Test func everyKindOfValueIsRead() throws {
    for sample in Self.samples {
      var parser = RESPParser()
      parser.receive(ByteBuffer(string: sample.wire))
      #expect(try all(&parser) == [sample.value], "\(sample.wire)")
    }
  }

  @Test func valuesMayComeInAnyPieces() throws {
    let wire = Array(Self.samples.map(\.wire).joined().utf8)
    let expected = Self.samples.map(\.value)
    var single = RESPParser()
    var values: [RESPValue] = []
    for byte in wire {
      single.receive(ByteBuffer(bytes: [byte]))
      values += try all(&single)
    }
    #expect(values == expected)
    for seed in 0..<50 as Range<UInt64> {
      var random = SeededRandom(seed: seed)
      var parser = RESPParser()
      var left = wire[...]
      values = []
      while !left.isEmpty {
        let piece = left.prefix(Int.random(in: 1...40, using: &random))
        left = left.dropFirst(piece.count)
        parser.receive(ByteBuffer(bytes: piece))
        values += try all(&parser)
      }
      #expect(values == expected, "seed \(seed)")
    }
  }

  @Test func whatACommandSaysComesBack() throws {
    let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    var parser = RESPParser()
    parser.receive(RedisCommand("SET", "naïve", .init(bytes), .init(-5)).encode())
    #expect(
      try all(&parser)
        == [.list([.bytes(Array("SET".utf8)), .bytes(Array("naïve".utf8)), .bytes(bytes), .bytes(Array("-5".utf8))])])
  }

  @Test(arguments: [
    "?\r\n", "\r\n", ":\r\n", ":12x\r\n", ":99999999999999999999\r\n", "$-2\r\n", "*-2\r\n", "$3\r\nabcd\r\n", "+a\n",
    "#x\r\n", ",x\r\n", "=2\r\nab\r\n", "*1\r\n>1\r\n:1\r\n", "$?\r\n", "%9223372036854775807\r\n", "_x\r\n",
  ])
  func whatIsNoProtocolIsRefusedForGood(wire: String) {
    var parser = RESPParser()
    parser.receive(ByteBuffer(string: wire))
    #expect(throws: RESPParser.Failure.self) { _ = try all(&parser) }
    parser.receive(ByteBuffer(string: "+OK\r\n"))
    #expect(throws: RESPParser.Failure.self, "nobody knows where the next value begins") { _ = try all(&parser) }
  }

  @Test func everyLimitHoldsBeforeAnythingIsMadeForIt() throws {
    var limits = RESPParser.Limits()
    limits.line = 10
    limits.string = 100
    limits.values = 8
    limits.reply = 150
    limits.depth = 3
    func result(_ wire: String) -> Result<[RESPValue], any Error> {
      var parser = RESPParser(limits: limits)
      parser.receive(ByteBuffer(string: wire))
      return Result { try all(&parser) }
    }
    let string = "$100\r\n" + String(repeating: "x", count: 100) + "\r\n"
    #expect(throws: Never.self, "each reply has the whole") { _ = try result(string + string).get() }
    #expect(throws: Never.self) { _ = try result("*1\r\n*1\r\n*1\r\n:1\r\n").get() }
    for wire in [
      "+12345678901", "+12345678901\r\n", "$101\r\n", "*2\r\n" + string + string, "*9\r\n", "*4\r\n*5\r\n", "%5\r\n",
      "*1\r\n*1\r\n*1\r\n*1\r\n", "*1000000000\r\n",
    ] {
      #expect(throws: RESPParser.Failure.self, "\(wire)") { _ = try result(wire).get() }
    }
  }

  /// Whatever comes, it is read or refused; nothing hangs, and nothing grows beyond the limits.
  @Test func rubbishDoesNoHarm() {
    let alphabet = Array("+-:$*_#,(!=%~>|0123456789?\r\nabct".utf8)
    for seed in 0..<3_000 as Range<UInt64> {
      var random = SeededRandom(seed: seed)
      var bytes = (0..<Int.random(in: 1...80, using: &random)).map { _ in alphabet.randomElement(using: &random) ?? 0 }
      if seed % 2 == 0 {
        // Something that is nearly right goes deeper.
        bytes = Array(Self.samples.map(\.wire).joined().utf8)
        for _ in 0..<3 {
          bytes[Int.random(in: 0..<bytes.count, using: &random)] = alphabet.randomElement(using: &random) ?? 0
        }
      }
      var parser = RESPParser()
      do {
        while !bytes.isEmpty {
          let count = min(bytes.count, Int.random(in: 1...9, using: &random))
          parser.receive(ByteBuffer(bytes: bytes.prefix(count)))
          bytes.removeFirst(count)
          _ = try all(&parser)
        }
      } catch {
        #expect(error is RESPParser.Failure, "seed \(seed)")
      }
    }
  }
}
