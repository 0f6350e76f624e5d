import Foundation

/// What the API costs: one call read, an event posted, pages of a long list, live events to many, webhooks to one.
/// docs/benchmarks.md says how each is measured and why so.
enum API {
  private static let token = "end-to-end-token"
  private static let stored = 10_000
  private static let listed = 100_000
  private static let subscribers = 1000

  static func run() throws -> Report {
    var report = Report(name: "api")
    // BENCH_PARTS=requests,pages,streams,webhooks runs only those, while something is being worked on.
    let parts = ProcessInfo.processInfo.environment["BENCH_PARTS"]?.split(separator: ",").map(String.init)
    func wanted(_ part: String) -> Bool { parts?.contains(part) ?? true }
    if wanted("requests") { try requests(&report) }
    if wanted("streams") { try streams(&report) }
    if wanted("webhooks") { try webhooks(&report) }
    if wanted("pages") { try pages(&report) }
    return report
  }

  // MARK: Requests

  private static func requests(_ report: inout Report) throws {
    let gateway = try gateway(calls: stored)
    let calls = try LiveCalls(gateway, count: 8)
    let one = try gateway.api("GET", "/v1/calls/\(calls.ids[0])")
    guard one.status == 200 else { throw Gateway.Failed(description: "no call to read: \(one.text)") }

    let hello = try PeerServer.hummingbird(answering: one.text.utf8.count)
    let nginx = try PeerServer.nginx(answering: one.text)
    let at = "\(stored) calls stored, 32 connections, \(one.text.utf8.count) bytes, client on the same cores"
    let plain = try load("http://127.0.0.1:\(hello.port)/", pid: hello.pid)
    let fixed = try load("http://127.0.0.1:\(nginx.port)/call.json", pid: nginx.pid)
    let read = try load(
      "http://127.0.0.1:\(gateway.apiPort)/v1/calls/\(calls.ids[0])", pid: gateway.pid, headers: bearer)
    let poked = try load(
      calls.ids.map { "http://127.0.0.1:\(gateway.apiPort)/v1/calls/\($0)/event" }, pid: gateway.pid, headers: bearer,
      body: #"{"name": "poke", "data": {"n": 1}}"#)
    for (name, mine) in [("GET one call", read), ("POST an event to a live call", poked)] {
      for (peerName, peer) in [("Hummingbird hello", plain), ("nginx, static", fixed)] {
        report.add(
          Row(
            metric: "\(name), requests per second and core", unit: "1/s", value: mine.perCore, peer: peerName,
            peerValue: peer.perCore, bar: nil, at: at))
        report.add(
          Row(
            metric: "\(name), p99", unit: "ms", value: mine.p99Ms, peer: peerName, peerValue: peer.p99Ms, bar: nil,
            at: at))
      }
    }
    hello.stop()
    nginx.stop()
    calls.stop()
    gateway.stop()
  }

  // MARK: Pages

  private static func pages(_ report: inout Report) throws {
    let gateway = try gateway(calls: listed)
    func page(after cursor: String?) throws -> [String: Any] {
      try gateway.json("/v1/calls?state=ended&limit=500" + (cursor.map { "&cursor=\($0)" } ?? ""))
    }
    var places: [String?] = [nil]
    var seen = 0
    let before = FirstCall.cpuSeconds(gateway.pid)
    while true {
      let found = try page(after: places[places.count - 1])
      seen += (found["items"] as? [Any])?.count ?? 0
      guard let next = found["next_cursor"] as? String else { break }
      places.append(next)
    }
    let spent = FirstCall.cpuSeconds(gateway.pid) - before
    guard seen == listed else { throw Gateway.Failed(description: "the pages hold \(seen) of \(listed) calls") }
    // The same number of calls on each, so what is left is what the place in the list costs. In turns, so that whatever else
    // the machine does meanwhile meets both.
    var first: [Double] = [], last: [Double] = []
    func timed(_ cursor: String?) throws -> Double {
      let began = Date()
      _ = try page(after: cursor)
      return Date().timeIntervalSince(began) * 1000
    }
    for (early, late) in zip(places.prefix(20), places.suffix(20)) {
      first.append(try timed(early))
      last.append(try timed(late))
    }
    gateway.stop()
    let at = "\(listed) calls, \(places.count) pages"
    report.add(
      Row(
        metric: "a page of 500 calls, the last 20 pages to the first 20", unit: "x",
        value: percentile(last, 0.5) / percentile(first, 0.5), peer: nil, peerValue: nil, bar: .atMost(1.25),
        at: "\(listed) calls, median, curl and its start included"))
    report.add(
      Row(
        metric: "a page of 500 calls, p50", unit: "ms", value: percentile(first + last, 0.5), peer: nil,
        peerValue: nil, bar: nil, at: at))
    report.add(
      Row(
        metric: "CPU per page of 500 calls", unit: "ms", value: spent / Double(places.count) * 1000, peer: nil,
        peerValue: nil, bar: nil, at: at))
  }

  // MARK: Live events

  private static func streams(_ report: inout Report) throws {
    let gateway = try gateway(calls: 0)
    let calls = try LiveCalls(gateway, count: 4)
    let readers = try StreamReaders(
      port: gateway.apiPort, token: token, count: subscribers, path: "/v1/calls/events?event_types=custom_received")
    for rate in [10, 25, 50, 100] {
      let before = FirstCall.cpuSeconds(gateway.pid)
      let measured = try readers.during {
        let poster = try EventPoster(port: gateway.apiPort, token: token, sessions: calls.ids)
        try poster.send(perSecond: rate, seconds: 5)
      }
      let sent = rate * 5
      guard measured.events == sent * subscribers else {
        throw Gateway.Failed(
          description: "\(measured.events) of \(sent * subscribers) events arrived; \(readers.open) readers are open")
      }
      let at = "\(subscribers) subscribers, \(rate) events a second for 5 s, readers on the same cores"
      report.add(
        Row(
          metric: "live events delivered per second", unit: "1/s", value: Double(measured.events) / measured.seconds,
          peer: nil, peerValue: nil, bar: nil, at: at))
      report.add(
        Row(
          metric: "event on record to its arrival, p99", unit: "ms", value: percentile(measured.delaysMs, 0.99),
          peer: nil, peerValue: nil, bar: nil, at: at))
      report.add(
        Row(
          metric: "CPU per delivered event", unit: "us",
          value: (FirstCall.cpuSeconds(gateway.pid) - before) / Double(measured.events) * 1e6, peer: nil,
          peerValue: nil,
          bar: nil, at: at))
    }
    readers.stop()
    calls.stop()
    gateway.stop()
  }

  // MARK: Webhooks

  private static func webhooks(_ report: inout Report) throws {
    let gateway = try gateway(calls: 0)
    let receiver = try PeerServer.nginx(answering: "")
    let made = try gateway.api(
      "POST", "/v1/webhooks",
      body: #"{"url": "http://127.0.0.1:\#(receiver.port)/hook", "event_types": ["custom_received"]}"#)
    guard made.status == 200 || made.status == 201 else {
      throw Gateway.Failed(description: "no webhook: \(made.status) \(made.text)")
    }
    let calls = try LiveCalls(gateway, count: 8)
    let began = Date()
    let sent = try load(
      calls.ids.map { "http://127.0.0.1:\(gateway.apiPort)/v1/calls/\($0)/event" }, pid: gateway.pid, headers: bearer,
      body: #"{"name": "poke"}"#
    ).count
    var delivered = 0
    while delivered < sent, Date().timeIntervalSince(began) < 300 {
      Thread.sleep(forTimeInterval: 0.1)
      delivered = try receiver.requests(to: "/hook")
    }
    let seconds = Date().timeIntervalSince(began)
    guard delivered >= sent else {
      throw Gateway.Failed(description: "\(delivered) of \(sent) events were delivered in \(seconds) s")
    }
    report.add(
      Row(
        metric: "webhooks delivered per second", unit: "1/s", value: Double(delivered) / seconds, peer: nil,
        peerValue: nil, bar: nil,
        at: "\(sent) events of 8 calls to one endpoint (nginx), the first 5 s while they are posted"))
    calls.stop()
    receiver.stop()
    gateway.stop()
  }

  // MARK: Pieces

  private static let bearer = ["Authorization: Bearer \(token)"]

  /// A gateway whose database holds so many ended calls.
  private static func gateway(calls: Int) throws -> Gateway {
    let folder = try Tools.temporaryFolder()
    if calls > 0 { try StoredCalls.write(calls, to: "\(folder)/parley.db") }
    return try Gateway(
      dialogs: ["waiting.yaml": LiveCalls.dialog],
      configuration: FirstCall.configuration + """

        integration: { outbound: { allow_private: [127.0.0.0/8] } }
        security: { api: { rate_limit: { requests_per_second: 0 } } }
        """, database: "sqlite://\(folder)/parley.db")
  }

  /// What `wrk` found in five seconds, after one to get warm, and what the server's process spent meanwhile.
  struct Load {
    var count: Int
    var perCore: Double
    var p99Ms: Double
  }

  private static func load(_ url: String, pid: Int32, headers: [String] = []) throws -> Load {
    try load([url], pid: pid, headers: headers)
  }

  private static func load(_ urls: [String], pid: Int32, headers: [String] = [], body: String? = nil) throws -> Load {
    guard let base = urls.first.flatMap(URL.init(string:)) else { throw Gateway.Failed(description: "no URL") }
    let folder = try Tools.temporaryFolder()
    let paths = urls.compactMap { URL(string: $0)?.path }.map { "\"\($0)\"" }.joined(separator: ", ")
    let script = """
      local paths, next = { \(paths) }, 0
      wrk.method = "\(body == nil ? "GET" : "POST")"
      \(body.map { "wrk.body = '\($0)'\nwrk.headers['Content-Type'] = 'application/json'" } ?? "")
      request = function()
        next = next % #paths + 1
        return wrk.format(nil, paths[next])
      end
      done = function(summary, latency)
        io.stderr:write(string.format("%d %d %d %f\\n", summary.requests, summary.errors.status
          + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
          summary.duration, latency:percentile(99)))
      end
      """
    try script.write(toFile: "\(folder)/load.lua", atomically: true, encoding: .utf8)
    func round(_ seconds: Int) throws -> (requests: Double, p99: Double) {
      let result = try Tools.run(
        "wrk",
        ["-t", "1", "-c", "32", "-d", "\(seconds)s", "-s", "\(folder)/load.lua"]
          + headers.flatMap { ["-H", $0] } + ["http://127.0.0.1:\(base.port ?? 80)/"])
      let figures = result.errors.split(separator: " ").compactMap { Double($0.trimmingCharacters(in: .newlines)) }
      guard figures.count == 4, figures[1] == 0, figures[0] > 0 else {
        throw Gateway.Failed(description: "wrk: \(result.output) \(result.errors)")
      }
      return (figures[0], figures[3] / 1000)
    }
    let warmUp = try round(1)
    let before = FirstCall.cpuSeconds(pid)
    let measured = try round(5)
    let spent = FirstCall.cpuSeconds(pid) - before
    return Load(
      count: Int(warmUp.requests + measured.requests), perCore: measured.requests / max(spent, 0.001),
      p99Ms: measured.p99)
  }
}
