import Foundation

/// Many readers of the event stream in one thread: counts what arrives and how late it is.
final class StreamReaders: @unchecked Sendable {
  struct Measured {
    var events: Int
    var seconds: Double
    var delaysMs: [Double]
  }

  private let sockets: [Socket]
  // What the reading thread writes; read under the lock.
  private let lock = NSLock()
  private var events = 0
  private var delaysMs: [Double] = []
  private var lastArrival = Date()
  private var ended = 0
  private var isStopping = false

  /// Every reader's stream says that it is live before this returns.
  init(port: Int, token: String, count: Int, path: String) throws {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = min(limit.rlim_max, rlim_t(count + 1024))
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    var made: [Socket] = []
    for number in 0..<count {
      let socket = try Socket(port: port)
      try socket.write("GET \(path) HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer \(token)\r\n\r\n")
      var head = ""
      while !head.contains(": live\n") {
        head += String(decoding: try socket.read(), as: UTF8.self)
        guard head.hasPrefix("HTTP/1.1 200") else {
          throw Gateway.Failed(description: "reader \(number) was refused: \(head.prefix(400))")
        }
      }
      made.append(socket)
    }
    sockets = made
    Thread { [self] in read() }.start()
  }

  var open: Int { lock.withLock { sockets.count - ended } }

  func stop() { lock.withLock { isStopping = true } }

  /// Counts from the beginning of `body` until nothing has arrived for a second after its end.
  func during(_ body: () throws -> Void) throws -> Measured {
    lock.withLock {
      events = 0
      delaysMs = []
    }
    let began = Date()
    try body()
    while true {
      Thread.sleep(forTimeInterval: 0.2)
      let last = lock.withLock { lastArrival }
      if Date().timeIntervalSince(last) > 1 { break }
    }
    return lock.withLock {
      Measured(events: events, seconds: lastArrival.timeIntervalSince(began), delaysMs: delaysMs)
    }
  }

  private func read() {
    var ready = sockets.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
    var tails = [ArraySlice<UInt8>](repeating: [], count: sockets.count)
    var buffer = [UInt8](repeating: 0, count: 262_144)
    let mark = Array("\ndata: ".utf8), stamp = Array("\"timestamp\":\"".utf8)
    while !lock.withLock({ isStopping }) {
      if poll(&ready, nfds_t(ready.count), 100) <= 0 { continue }
      var found = 0, delays: [Double] = []
      var closed = 0
      for number in ready.indices where ready[number].revents != 0 {
        let size = recv(ready[number].fd, &buffer, buffer.count, 0)
        guard size > 0 else {
          // poll(2) passes over negative descriptors.
          ready[number].fd = -1
          closed += 1
          continue
        }
        let bytes = buffer[..<size]
        found += Self.places(of: mark, in: bytes).count
        // A mark may lie across two reads.
        found += Self.places(of: mark, in: tails[number] + bytes.prefix(mark.count - 1)).count
        tails[number] = (tails[number] + bytes.suffix(mark.count - 1)).suffix(mark.count - 1)
        // Every twentieth reader looks at the time: that is enough for a percentile, and cheap.
        if number % 20 == 0 { Self.delays(stamp, in: bytes, into: &delays) }
      }
      lock.withLock {
        events += found
        delaysMs += delays
        ended += closed
        if found > 0 { lastArrival = Date() }
      }
    }
  }

  /// Where `mark` ends in `bytes`, each time, counted from their beginning.
  private static func places(of mark: [UInt8], in bytes: ArraySlice<UInt8>) -> [Int] {
    bytes.withUnsafeBytes { all in
      guard let base = all.baseAddress, let first = mark.first else { return [] }
      var found: [Int] = []
      var place = 0
      while place + mark.count <= all.count,
        let hit = memchr(base + place, Int32(first), all.count - place - mark.count + 1)
      {
        place = UnsafeRawPointer(hit) - base + 1
        guard memcmp(hit, mark, mark.count) == 0 else { continue }
        place += mark.count - 1
        found.append(place)
      }
      return found
    }
  }

  private static func delays(_ stamp: [UInt8], in bytes: ArraySlice<UInt8>, into delays: inout [Double]) {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    let nowMs = Double(now.tv_sec % 86_400) * 1000 + Double(now.tv_nsec) / 1e6
    let places = places(of: stamp, in: bytes)
    bytes.withUnsafeBytes { all in
      for place in places where place + 24 <= all.count {
        // 2026-11-22T10:20:30.123Z
        func number(_ at: Int, _ digits: Int) -> Double {
          (0..<digits).reduce(0.0) { $0 * 10 + Double(all[place + at + $1]) - 48 }
        }
        let atMs = ((number(11, 2) * 60 + number(14, 2)) * 60 + number(17, 2)) * 1000 + number(20, 3)
        delays.append(max(0, nowMs - atMs))
      }
    }
  }
}

/// Posts events to live calls at a steady rate over one connection.
struct EventPoster {
  private let socket: Socket
  private let requests: [String]

  init(port: Int, token: String, sessions: [String]) throws {
    socket = try Socket(port: port)
    let body = #"{"name": "poke"}"#
    requests = sessions.map { session in
      "POST /v1/calls/\(session)/event HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer \(token)\r\n"
        + "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }
  }

  func send(perSecond rate: Int, seconds: Int) throws {
    let began = Date()
    for number in 0..<(rate * seconds) {
      let due = began.addingTimeInterval(Double(number) / Double(rate))
      let wait = due.timeIntervalSinceNow
      if wait > 0 { Thread.sleep(forTimeInterval: wait) }
      try socket.write(requests[number % requests.count])
      let answer = String(decoding: try socket.read(), as: UTF8.self)
      guard answer.hasPrefix("HTTP/1.1 20") else {
        throw Gateway.Failed(description: "an event was refused: \(answer)")
      }
    }
  }
}
