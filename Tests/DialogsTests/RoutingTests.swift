import Base
import Dialogs
import Testing

@Suite struct RoutingTests {
  private func router() throws -> DialogRouter {
    func make(_ name: String, _ match: String) throws -> Dialog {
      try dialog("name: \(name)\n\(match)\nstates: { start: { terminal: true } }")
    }
    return DialogRouter([
      try make("any", "routing: { match: [{ sip_to: \"*\" }] }"),
      try make("helpdesk", "routing: { match: [{ sip_to: \"sip:helpdesk@*\" }, { sip_to: \"sip:+18001234567@*\" }] }"),
      try make("vip", "routing: { match: [{ sip_to: \"sip:helpdesk@*\", headers: { X-Queue: \"vip*\" } }] }"),
      try make("branch", "routing: { match: [{ sip_from: \"sip:*@branch.example\", trunk: main }] }"),
      try make("echo", ""),
    ])
  }

  @Test func theMostSpecificRuleWins() throws {
    let router = try router()
    func name(to: String, from: String = "sip:a@b", trunk: String? = nil, headers: [(String, String)] = []) -> String? {
      router.route(
        CallFacts(fromURI: from, toURI: to, trunk: trunk, headers: headers.map { (name: $0.0, value: $0.1) }))?.name
    }
    #expect(name(to: "sip:helpdesk@example.com") == "helpdesk")
    #expect(name(to: "sips:HELPDESK@example.com:5061") == "helpdesk")
    #expect(name(to: "sip:+18001234567@x") == "helpdesk")
    #expect(name(to: "sip:helpdesk@x", headers: [("x-queue", "VIP gold")]) == "vip")
    #expect(name(to: "sip:helpdesk@x", headers: [("X-Queue", "it")]) == "helpdesk")
    #expect(name(to: "sip:1@x", from: "sip:joe@branch.example", trunk: "main") == "branch")
    #expect(name(to: "sip:1@x", from: "sip:joe@branch.example", trunk: "other") == "any")
    #expect(name(to: "sip:nobody@x") == "any")
  }

  @Test func dialogsWithoutRulesAnswerToTheirName() throws {
    let echo = try dialog("name: echo\nstates: { start: { terminal: true } }")
    let other = try dialog("name: other\nstates: { start: { terminal: true } }")
    let two = DialogRouter([echo, other])
    #expect(two.route(CallFacts(calledNumber: "Other", toURI: "sip:Other@x"))?.name == "other")
    #expect(two.route(CallFacts(calledNumber: "123"))?.name == nil)
    #expect(DialogRouter([echo]).route(CallFacts(calledNumber: "123"))?.name == "echo")
    #expect(DialogRouter([]).route(CallFacts())?.name == nil)
  }

  @Test func wildcardsStayLinear() throws {
    let pattern = "sip:" + String(repeating: "a*", count: 40) + "b"
    let loaded = try dialog("routing: { match: [{ sip_to: \"\(pattern)\" }] }\nstates: { start: { terminal: true } }")
    let facts = CallFacts(toURI: "sip:" + String(repeating: "a", count: 2_000))
    #expect(DialogRouter([loaded]).route(facts)?.name == nil)
  }
}
