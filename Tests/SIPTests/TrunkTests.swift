import Base
import SIP
import Testing

@Suite struct TrunkHealthTests {
  private var health = SIPTrunkHealth(random: SeededRandom(seed: 5))

  /// One ping and its answer.
  private mutating func ping(_ status: Int) -> [SIPTrunkHealth.Action] {
    guard let deadline = health.deadline else { return [] }
    guard health.timeout(at: deadline) == [.ping] else { return [] }
    return health.receive(status: status, at: deadline + .milliseconds(50))
  }

  @Test mutating func aTrunkGoesDownAndComesBackByItself() {
    health.start(at: .zero)
    #expect(health.isUsable, "before the first answer it is used")
    #expect(ping(200) == [.changed(.up)])
    #expect(ping(408) == [])
    #expect(ping(200) == [])
    #expect(ping(503) == [])
    #expect(ping(408) == [.changed(.down)])
    #expect(!health.isUsable)
    #expect(ping(200) == [])
    #expect(ping(408) == [])
    #expect(ping(200) == [])
    #expect(ping(404) == [.changed(.up)], "any answer is a sign of life")
  }

  @Test mutating func neverAnsweredIsDown() {
    health.start(at: .zero)
    #expect(ping(503) == [])
    #expect(ping(503) == [.changed(.down)])
  }

  @Test mutating func pingsKeepTheirDistanceAndAreNotInStep() {
    health.start(at: .zero)
    _ = ping(200)
    var last = Instant.zero + .milliseconds(50)
    var gaps: Set<Int64> = []
    for _ in 0..<50 {
      guard let deadline = health.deadline else { break }
      let gap = (deadline - last).milliseconds
      #expect((27_000...33_000).contains(gap))
      gaps.insert(gap)
      last = deadline + .milliseconds(50)
      _ = ping(200)
    }
    #expect(gaps.count > 25)
    last = (health.deadline ?? .zero) + .milliseconds(50)
    _ = ping(408)
    let gap = ((health.deadline ?? .zero) - last).milliseconds
    #expect((9_000...11_000).contains(gap), "after a silence it is asked again sooner")
  }

  @Test mutating func callsCountToo() {
    health.start(at: .zero)
    _ = ping(200)
    #expect(health.observe(status: 408, at: ms(1)) == [])
    #expect(health.observe(status: 486, at: ms(2)) == [])
    #expect(health.observe(status: 408, at: ms(3)) == [])
    #expect(health.observe(status: 503, at: ms(4)) == [.changed(.down)])
    #expect(health.receive(status: 200, at: ms(5)) == [], "an answer to nothing")
  }
}

@Suite struct TrunkChooserTests {
  private func number(_ text: String) throws -> SIPNumber { try #require(SIPNumber(text)) }

  @Test func numbersAreNormalized() {
    #expect(SIPNumber("+49 (30) 123-45.6")?.text == "+4930123456")
    #expect(SIPNumber("help-desk.2")?.text == "help-desk.2")
    #expect(SIPNumber("*21#")?.text == "*21#")
    for bad in [
      "", "+", "1+2", "12;phone-context=+900", "12@evil", "%2B1900", "1,2", "  ", "++1", "a b",
      String(repeating: "1", count: 65), "１２", "1\u{0}",
    ] {
      #expect(SIPNumber(bad) == nil, "\(bad)")
    }
  }

  @Test func whatIsNotAllowedIsForbidden() throws {
    let destinations = SIPDestinations(allowed: ["+49", "+1"], denied: ["+49900", "+1", "+1900"])
    #expect(destinations.allows(try number("+4930123")))
    #expect(!destinations.allows(try number("+499001")))
    #expect(!destinations.allows(try number("+1212")), "of equals the denial")
    #expect(!destinations.allows(try number("+44")))
    #expect(!destinations.allows(try number("0049")))
    #expect(!SIPDestinations(allowed: []).allows(try number("1")))
    #expect(SIPDestinations(allowed: [""], denied: ["00"]).allows(try number("112")))
    #expect(SIPDestinations(allowed: ["00"], denied: [""]).allows(try number("0049")))
  }

  @Test func theLongestPrefixRewritesOnce() throws {
    let rules = [
      SIPNumberRule(prefix: "0", strip: 1, add: "+49"), SIPNumberRule(prefix: "00", strip: 2, add: "+"),
      SIPNumberRule(prefix: "", add: "+4930", lengths: 3...8), SIPNumberRule(prefix: "9", strip: 5),
    ]
    #expect(try number("030123").rewritten(by: rules)?.text == "+4930123")
    #expect(try number("0044123").rewritten(by: rules)?.text == "+44123")
    #expect(try number("12345").rewritten(by: rules)?.text == "+493012345")
    #expect(try number("+33123456789").rewritten(by: rules)?.text == "+33123456789")
    #expect(try number("9123").rewritten(by: rules) == nil, "nothing is left")
    let long = [SIPNumberRule(prefix: "", add: String(repeating: "1", count: 64))]
    #expect(try number("1").rewritten(by: long) == nil)
    #expect(try number("1").rewritten(by: [SIPNumberRule(prefix: "", strip: -5)])?.text == "1")
  }

  @Test func trunksAreTriedInOrder() throws {
    let home = SIPDestinations(allowed: ["+49"])
    var chooser = SIPTrunkChooser([
      SIPTrunk(name: "a", destinations: home, rules: [SIPNumberRule(prefix: "+", strip: 1, add: "00")], calls: 1),
      SIPTrunk(name: "b", destinations: SIPDestinations(allowed: [""], denied: ["+1900"]), calls: 1),
    ])
    let callee = try number("+4930")
    #expect(chooser.choose(callee, at: .zero) == .trunk("a", number: try number("004930")))
    #expect(chooser.choose(callee, at: .zero) == .trunk("b", number: callee))
    #expect(chooser.choose(callee, at: .zero) == .none(.full))
    chooser.release("a")
    #expect(chooser.choose(callee, excluding: ["a"], at: .zero) == .none(.full))
    #expect(chooser.choose(callee, excluding: ["a", "b"], at: .zero) == .none(.tried))
    #expect(chooser.choose(callee, isUsable: { _ in false }, at: .zero) == .none(.down))
    #expect(chooser.choose(try number("+1900"), at: .zero) == .none(.forbidden))
    chooser.release("b")
    #expect(chooser.choose(callee, isUsable: { $0 == "b" }, at: .zero) == .trunk("b", number: callee))
    chooser.replace([SIPTrunk(name: "b", destinations: home, calls: 2), SIPTrunk(name: "c", destinations: home)])
    #expect(chooser.calls(of: "b") == 1, "calls that are up still count")
    chooser.release("c")
    chooser.release("nobody")
    #expect(chooser.calls(of: "c") == 0)
  }

  @Test func callsPerSecondAreLimited() throws {
    var chooser = SIPTrunkChooser([
      SIPTrunk(name: "a", destinations: SIPDestinations(allowed: [""]), callsPerSecond: 2, burst: 3)
    ])
    let callee = try number("1")
    func isChosen(_ at: Int64) -> Bool { chooser.choose(callee, at: ms(at)) != .none(.full) }
    #expect((0..<5).map { _ in isChosen(0) } == [true, true, true, false, false])
    #expect([isChosen(499), isChosen(500), isChosen(501), isChosen(1_000)] == [false, true, false, true])
  }

  @Test func whatFailsOver() {
    #expect([403, 408, 500, 503, 407].allSatisfy(SIPTrunkChooser.failsOver))
    #expect(![180, 200, 302, 404, 480, 484, 486, 487, 488, 600, 603].contains(where: SIPTrunkChooser.failsOver))
  }
}

@Suite struct CallerIdentityTests {
  private let target = SIPURI(user: "+4930", host: "trunk.example")

  private func text(_ identity: SIPCallerIdentity, _ change: (inout SIPCallerIdentity.Style) -> Void) -> [String] {
    var style = SIPCallerIdentity.Style(fromHost: "us.example")
    change(&style)
    let (from, headers) = identity.headers(style, target: target)
    return ["From: \(from)"] + headers.map { "\($0.name): \($0.value)" }
  }

  @Test func aCallerIsShown() {
    let identity = SIPCallerIdentity(user: "+4989", displayName: "A \"B\"")
    #expect(
      text(identity) { _ in } == [
        "From: \"A \\\"B\\\"\" <sip:+4989@us.example>",
        "P-Asserted-Identity: \"A \\\"B\\\"\" <sip:+4989@us.example>",
      ])
    let account = text(identity) {
      $0.fromUser = "acct 7"
      $0.identity = .preferred
    }
    #expect(account[0] == "From: \"A \\\"B\\\"\" <sip:acct%207@us.example>")
    #expect(account[1].hasPrefix("P-Preferred-Identity: "))
    #expect(text(identity) { $0.identity = .none }.count == 1)
  }

  @Test func aPrivateCallerIsToldToTheTrunkOnly() {
    let lines = text(SIPCallerIdentity(user: "+4989", displayName: "Eve", isPrivate: true)) { $0.fromUser = "acct" }
    #expect(
      lines == [
        "From: \"Anonymous\" <sip:anonymous@anonymous.invalid>",
        "P-Asserted-Identity: \"Eve\" <sip:+4989@us.example>", "Privacy: id",
      ])
  }

  @Test func diversionsAndTheirHistory() {
    let identity = SIPCallerIdentity(
      user: "1",
      diversions: [
        SIPDiversion(uri: SIPURI(user: "100", host: "a"), reason: .userBusy),
        SIPDiversion(uri: SIPURI(user: "200", host: "a"), reason: .noAnswer),
      ])
    let lines = text(identity) {
      $0.sendsDiversion = true
      $0.sendsHistory = true
    }
    #expect(
      lines.dropFirst(2) == [
        "Diversion: <sip:200@a>;reason=no-answer;counter=1", "Diversion: <sip:100@a>;reason=user-busy;counter=1",
        "History-Info: <sip:100@a>;index=1, <sip:200@a;cause=486>;index=1.1, <sip:+4930@trunk.example;cause=408>;index=1.1.1",
      ])
    let loop = SIPCallerIdentity(user: "1", diversions: Array(repeating: identity.diversions[0], count: 500))
    #expect(text(loop) { $0.sendsDiversion = true }.count == 12)
  }

  @Test func aNameCannotBreakOut() {
    let lines = text(SIPCallerIdentity(user: "1>;tag=evil\r\nX: y@z", displayName: "x")) { _ in }
    #expect(lines[0] == "From: \"x\" <sip:1%3E;tag=evil%0D%0AX%3A%20y%40z@us.example>")
  }
}
