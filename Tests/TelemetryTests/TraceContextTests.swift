import Base
import Telemetry
import Testing

/// W3C Trace Context, Level 1: what is read, what is refused, what is passed on.
@Suite struct TraceContextTests {
  private static let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

  @Test func theExampleOfTheRecommendationIsReadAndWritten() throws {
    let context = try #require(
      TraceContext(traceparent: Self.good, tracestate: ["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"]))
    #expect(context.traceID.description == "4bf92f3577b34da6a3ce929d0e0e4736")
    #expect(context.spanID.description == "00f067aa0ba902b7")
    #expect(context.isSampled)
    #expect(context.traceparent == Self.good)
    #expect(context.state.description == "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")
  }

  @Test(arguments: [
    ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", false),
    ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03", true),
    // Versions to come are read as far as this one knows them.
    ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true),
    ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-brings", true),
    ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-08", false),
  ])
  func otherFlagsAndVersionsAreRead(_ text: String, _ isSampled: Bool) throws {
    let context = try #require(TraceContext(traceparent: text))
    #expect(context.isSampled == isSampled)
    // What goes out is of the version that is spoken here, with no flag that it does not know.
    #expect(
      context.traceparent == "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-" + (isSampled ? "01" : "00"))
  }

  @Test(arguments: [
    "", "00", "-", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", " " + good, good + " ", good + "-",
    good + "-01",
    "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
    "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0X",
    "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
    "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.x",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nX-Evil: 1",
    "00-４bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-" + String(repeating: "x", count: 100_000),
  ])
  func whatIsNotWellFormedIsNoContext(_ text: String) {
    #expect(TraceContext(traceparent: text) == nil)
  }

  @Test func onlyAWellFormedStateIsPassedOn() {
    func state(_ headers: String...) -> String? { TraceState(parsing: headers)?.description }
    #expect(state("a=1") == "a=1")
    #expect(state(" a=1 ,\tb=2\t") == "a=1,b=2")
    #expect(state("a=1", "b=2") == "a=1,b=2")
    #expect(state("a=1,,b=2,") == "a=1,b=2")
    #expect(state("fw529a3039@dt=FfYAAA-x/y;z:~!", "0a@b=1") == "fw529a3039@dt=FfYAAA-x/y;z:~!,0a@b=1")
    #expect(state("a=  inner blank x") == "a=  inner blank x")
    #expect(state("") == "")
    for wrong in [
      "a", "=1", "a=", "A=1", "0a=1", "a@=1", "@b=1", "a@b@c=1", "a=1=2", "a=\u{7F}", "a=ü", "a=1,a=2", "a b=1",
      "a@bbbbbbbbbbbbbbb=1", String(repeating: "a", count: 257) + "=1", "a=" + String(repeating: "1", count: 257),
      (1...33).map { "k\($0)=1" }.joined(separator: ","),
    ] { #expect(state(wrong) == nil, "\(wrong)") }
    // The context stands where its state does not.
    #expect(TraceContext(traceparent: Self.good, tracestate: ["A=1"])?.state.isEmpty == true)
  }

  @Test func aLongStateIsShortenedByWholeMembers() throws {
    let long = "long=" + String(repeating: "x", count: 200)
    let rest = (1...30).map { "key\($0)=" + String(repeating: "v", count: 20) }
    let state = try #require(TraceState(parsing: [([long] + rest).joined(separator: ",")]))
    #expect(state.description.utf8.count <= TraceState.byteLimit)
    #expect(state.members.first == rest.first && !state.description.contains("long"))
    #expect(rest.starts(with: state.members))
    #expect(TraceState(parsing: [String(repeating: "a=1,", count: 100_000)]) == nil)
  }

  // MARK: A call's place

  private static let session = SessionID("01JDB4N8V3ZJ6YQ5M0T7W2X9CR")

  @Test func aCallGoesOnWithTheTraceOfItsOffer() {
    let place = CallPlace(
      Self.session, headers: [("X-Other", "1"), ("Traceparent", Self.good), ("tracestate", "a=1")], ratio: 0)
    #expect(place.root.traceID.description == "4bf92f3577b34da6a3ce929d0e0e4736")
    #expect(place.parent?.description == "00f067aa0ba902b7")
    #expect(place.root.isSampled && place.root.state.description == "a=1")
    #expect(place.root.spanID != place.parent)
    // Whoever took the decision not to record is honoured as well.
    let quiet = CallPlace(Self.session, headers: [("traceparent", Self.good.dropLast(2) + "00")], ratio: 1)
    #expect(!quiet.root.isSampled)
  }

  @Test func everyProcessFindsTheSamePlace() {
    let one = CallPlace(Self.session, headers: [], ratio: 1), other = CallPlace(Self.session, headers: [], ratio: 1)
    #expect(one == other && one.parent == nil && one.root.isSampled)
    #expect(CallPlace(SessionID("01JDB4N8V3ZJ6YQ5M0T7W2X9CS"), headers: [], ratio: 1).root.traceID != one.root.traceID)
    #expect(CallPlace(Self.session, traceID: one.root.traceID.description)?.root == one.root)
    #expect(CallPlace(Self.session, traceID: "not a trace") == nil)
    // Neither two headers nor a broken one name a trace.
    let two = CallPlace(Self.session, headers: [("traceparent", Self.good), ("traceparent", Self.good)], ratio: 1)
    #expect(two == one)
    #expect(CallPlace(Self.session, headers: [("traceparent", "00-junk")], ratio: 1) == one)
  }

  @Test func theRatioIsTheShareOfCalls() {
    var random = SeededRandom(seed: 7)
    let sessions = (0..<4_000).map { _ in SessionID(random.token(26)) }
    func share(_ ratio: Double) -> Double {
      Double(sessions.filter { CallPlace($0, headers: [], ratio: ratio).root.isSampled }.count) / 4_000
    }
    #expect(share(0) == 0 && share(1) == 1)
    #expect(abs(share(0.25) - 0.25) < 0.03, "\(share(0.25))")
  }
}
