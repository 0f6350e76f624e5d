import Base
import MediaIO
import NIOCore
import NIOPosix
import Testing

@Suite struct PortPoolTests {
  @Test func pairsAreEvenUniqueAndWithinTheRange() throws {
    var random = SeededRandom(seed: 1)
    var pool = RTPPortPool(range: 10_001...10_021, quarantine: .seconds(5), using: &random)
    #expect(pool.pairs == 10)
    var seen: Set<UInt16> = []
    for _ in 0..<10 { seen.insert(try pool.allocate(at: .zero)) }
    #expect(seen.count == 10)
    #expect(seen.allSatisfy { $0 % 2 == 0 && (10_002...10_020).contains($0) })
    #expect(throws: RTPPortPool.Refusal.exhausted(pairs: 10, resting: 0)) { try pool.allocate(at: .zero) }
  }

  @Test func aReleasedPairRests() throws {
    var random = SeededRandom(seed: 2)
    var pool = RTPPortPool(range: 10_000...10_001, quarantine: .seconds(5), using: &random)
    let now = Instant.zero
    let port = try pool.allocate(at: now)
    pool.release(port, at: now)
    pool.release(port, at: now)
    #expect(throws: RTPPortPool.Refusal.exhausted(pairs: 1, resting: 1)) { try pool.allocate(at: now + .seconds(4)) }
    #expect(try pool.allocate(at: now + .seconds(5)) == port)
    #expect(pool.inUse == 1)
  }

  @Test func manyRoundsNeverGiveOnePairTwice() throws {
    var random = SeededRandom(seed: 3)
    var pool = RTPPortPool(range: 10_000...10_199, quarantine: .seconds(5), using: &random)
    var now = Instant.zero
    var held: [UInt16] = []
    for _ in 0..<20_000 {
      now += .milliseconds(100)
      if Bool.random(using: &random), let port = try? pool.allocate(at: now) {
        #expect(!held.contains(port))
        held.append(port)
      } else if let index = held.indices.randomElement(using: &random) {
        pool.release(held.remove(at: index), at: now)
      }
    }
    #expect(pool.inUse == held.count)
  }
}

@Suite struct PeerAddressTests {
  @Test func readsAndWritesBothFamilies() throws {
    #expect(PeerAddress("192.0.2.7", port: 5060)?.description == "192.0.2.7:5060")
    #expect(PeerAddress("[2001:db8::1]", port: 7)?.description == "[2001:db8::1]:7")
    #expect(PeerAddress("::ffff:10.0.0.1", port: 1) == PeerAddress("10.0.0.1", port: 1))
    for bad in ["", "localhost", "1.2.3", "1.2.3.4.5", "2001:::1", String(repeating: "1", count: 500)] {
      #expect(PeerAddress(bad, port: 1) == nil)
    }
    #expect(PeerAddress("10.0.0.1", port: 65_536) == nil)
  }

  @Test func blocksHoldWhatTheyShould() throws {
    let ten = try #require(AddressBlock("10.0.0.0/8"))
    #expect(ten.contains(try #require(PeerAddress("10.255.0.1", port: 9))))
    #expect(!ten.contains(try #require(PeerAddress("11.0.0.1", port: 9))))
    let one = try #require(AddressBlock("192.0.2.1"))
    #expect(one.contains(try #require(PeerAddress("192.0.2.1", port: 1))))
    #expect(!one.contains(try #require(PeerAddress("192.0.2.2", port: 1))))
    let v6 = try #require(AddressBlock("2001:db8::/33"))
    #expect(v6.contains(try #require(PeerAddress("2001:db8:7fff::1", port: 1))))
    #expect(!v6.contains(try #require(PeerAddress("2001:db8:8000::1", port: 1))))
    let all = try #require(AddressBlock("0.0.0.0/0"))
    #expect(all.contains(try #require(PeerAddress("8.8.8.8", port: 1))))
    for bad in ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "x/8", "/8"] { #expect(AddressBlock(bad) == nil) }
  }
}

@Suite struct UDPSocketTests {
  @Test func carriesDatagramsWithPeerAndArrival() throws {
    let a = try UDPSocket(host: "127.0.0.1", port: 0)
    let b = try UDPSocket(host: "127.0.0.1", port: 0)
    let buffer = DatagramBuffer()
    let before = Instant.monotonic()
    for n in 0..<3 { [UInt8](repeating: UInt8(n), count: 172).withUnsafeBytes { a.send($0, to: b.local) } }
    [UInt8](repeating: 9, count: 4000).withUnsafeBytes { a.send($0, to: b.local) }
    var got: [(UInt8, Int, Bool)] = []
    // Loopback delivers before `sendto` returns.
    let first = b.receive(into: buffer, limit: 2) { datagram in
      got.append((datagram.bytes[0], datagram.bytes.count, datagram.isTruncated))
      #expect(datagram.peer == a.local)
      #expect(datagram.arrival >= before - .milliseconds(5) && datagram.arrival <= .monotonic())
    }
    #expect(first == 2)
    b.receive(into: buffer, limit: 100) { got.append(($0.bytes[0], $0.bytes.count, $0.isTruncated)) }
    #expect(got.map(\.0) == [0, 1, 2, 9])
    #expect(got.map(\.1) == [172, 172, 172, DatagramBuffer.datagramLimit])
    #expect(got.map(\.2) == [false, false, false, true])
    let rest = b.receive(into: buffer, limit: 100) { _ in }
    #expect(rest == 0)
  }

  @Test func aTakenPortIsToldAsSuch() throws {
    let first = try UDPSocket(host: "127.0.0.1", port: 0)
    let error = #expect(throws: SocketError.self) {
      _ = try UDPSocket(host: "127.0.0.1", port: Int(first.local.port))
    }
    #expect(error?.code == .inUse)
    #expect(error?.description.contains("127.0.0.1:\(first.local.port)") == true)
    #expect(throws: SocketError.self) { _ = try UDPSocket(host: "nowhere", port: 0) }
  }

  @Test func knowsWhereAPeerIsReachedFrom() throws {
    let peer = try #require(PeerAddress("127.0.0.1", port: 5060))
    #expect(localAddress(towards: peer)?.host == "127.0.0.1")
  }
}

private final class Counter: PacedMember {
  var ticks = 0
  let limit: Int
  let done: EventLoopPromise<Void>
  var pacer: Pacer?
  init(limit: Int, done: EventLoopPromise<Void>) {
    self.limit = limit
    self.done = done
  }
  func skip(ticks: Int) {}
  func tick(now: Instant) {
    ticks += 1
    guard ticks == limit else { return }
    pacer?.remove(self)
    pacer = nil
    done.succeed()
  }
}

@Suite struct PacerTests {
  @Test func ticksEveryMemberAtTheSameRateAndStopsWhenAllAreGone() async throws {
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    let started = ContinuousClock.now
    let result = try await loop.flatSubmit { () -> EventLoopFuture<NIOLoopBound<Pacer>> in
      let pacer = Pacer(eventLoop: loop)
      var all: [EventLoopFuture<Void>] = []
      for _ in 0..<9 {
        let promise = loop.makePromise(of: Void.self)
        let member = Counter(limit: 10, done: promise)
        member.pacer = pacer
        pacer.add(member)
        all.append(promise.futureResult)
      }
      let bound = NIOLoopBound(pacer, eventLoop: loop)
      return EventLoopFuture.andAllSucceed(all, on: loop).map { bound }
    }.get()
    // Ten ticks of 20 ms cannot have been had sooner than nine periods after the first.
    #expect(started.duration(to: .now) >= .milliseconds(180))
    let counted = try await loop.submit { (result.value.count, result.value.lateness.counts.reduce(0, +)) }.get()
    #expect(counted.0 == 0)
    #expect(counted.1 >= 40, "four slots, ten ticks each")
  }
}
