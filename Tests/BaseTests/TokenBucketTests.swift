import Base
import Testing

@Suite struct TokenBucketTests {
  private func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

  @Test func aBurstPassesAndThenTheRate() {
    var bucket = TokenBucket(perSecond: 10, burst: 3)
    for _ in 1...3 { #expect(bucket.take(at: at(0)) == nil) }
    #expect(bucket.take(at: at(0)) == .milliseconds(100))
    #expect(bucket.take(at: at(99)) == .milliseconds(1))
    #expect(bucket.take(at: at(100)) == nil)
    #expect(bucket.remaining(at: at(100)) == 0)
    #expect(bucket.remaining(at: at(200)) == 1)
    #expect(bucket.untilFull(at: at(200)) == .milliseconds(200))
    #expect(bucket.remaining(at: at(5000)) == 3)
  }

  @Test func whoIsRefusedLosesNothing() {
    var bucket = TokenBucket(perSecond: 1, burst: 1)
    #expect(bucket.take(at: at(0)) == nil)
    for i in 1...900 { #expect(bucket.take(at: at(Int64(i))) != nil) }
    #expect(bucket.take(at: at(1000)) == nil)
  }

  @Test func inTheLongRunTheRateIsKept() {
    var random = SeededRandom(seed: 7)
    for _ in 0..<50 {
      let rate = Double.random(in: 0.5...500, using: &random), burst = Int.random(in: 2...50, using: &random)
      var bucket = TokenBucket(perSecond: rate, burst: burst)
      var passed = 0
      // Somebody who asks every millisecond until refused.
      for now in 0..<Int64(5000) {
        while bucket.take(at: at(now)) == nil { passed += 1 }
      }
      let expected = Double(burst) + rate * 4.999
      #expect(abs(Double(passed) - expected) <= 1, "rate \(rate) burst \(burst)")
    }
  }

  @Test func senselessNumbersAreBrought() {
    var bucket = TokenBucket(perSecond: -1, burst: 0)
    #expect(bucket.take(at: .zero) == nil)
    #expect(bucket.take(at: .zero) != nil)
  }

  @Test func eachSenderHasItsOwnBucketInBoundedMemory() {
    var buckets = TokenBuckets<String>(TokenBucket(perSecond: 1, burst: 2), limit: 100)
    for _ in 1...2 { #expect(buckets.take("a", at: .zero) == nil) }
    #expect(buckets.take("a", at: .zero) == .seconds(1))
    #expect(buckets.take("b", at: .zero) == nil)
    #expect(buckets["b"].remaining(at: .zero) == 1)
    for i in 0..<10_000 {
      _ = buckets.take("sender \(i)", at: .zero)
      #expect(buckets.take("a", at: .zero) != nil, "whoever keeps asking is not forgotten")
    }
    #expect(buckets.count <= 100)
  }
}
