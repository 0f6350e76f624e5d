import Base
import Foundation
import NIOConcurrencyHelpers
import NIOPosix
import ScriptedServers
import Settings
import Storage
import Testing

/// What a bucket promises, and how it says no.
@Suite(.serialized, .timeLimit(.minutes(5))) struct ObjectStoreTests {
  private static let server = Result { try S3Server() }

  static func now() -> Int64 { Int64(Date().timeIntervalSince1970 * 1000) }

  static func store(
    _ url: String, key: String, secret: String, authorities: String = "",
    count: @escaping @Sendable (S3ObjectStore.Operation, ObjectError.Kind?) -> Void = { _, _ in }
  ) throws -> S3ObjectStore {
    var storage = StorageSettings()
    storage.objects = try ObjectsAddress(url)
    let address = try #require(storage.objectsBucket)
    var settings = S3Settings()
    settings.accessKeyID = Secret(key)
    settings.secretAccessKey = Secret(secret)
    settings.authoritiesFile = authorities
    return S3ObjectStore(
      address, settings, product: "test", group: MultiThreadedEventLoopGroup.singleton, nowMs: now, logger: quiet,
      count: count)
  }

  /// An empty store.
  private func withStore(_ body: (S3ObjectStore) async throws -> Void) async throws {
    let server = try Self.server.get()
    let store = try Self.store(
      server.url(prefix: "tests/\(UUID().uuidString)"), key: server.accessKeyID, secret: server.secretAccessKey)
    try await body(store)
    await store.close()
  }

  private func key(_ text: String) throws -> ObjectKey { try ObjectKey(text) }

  @Test func whatIsWrittenIsRead() async throws {
    try await withStore { store in
      let names = ["plain.wav", "a/b/c.wav", "späte Ansage/ä+b c%20~$&=?#'.wav", "a b/\u{1F3B5}", "a/b.wav", "..a/.b"]
      for (number, name) in names.enumerated() {
        let bytes = (0..<(number * 70_000)).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let put = try await store.put(try key(name), bytes, type: "audio/wav")
        #expect(put.size == bytes.count && !put.etag.isEmpty)
        let got = try #require(try await store.get(try key(name), limit: 1 << 20, unless: nil))
        #expect(got.bytes == bytes)
        #expect(got.info == put)
        #expect(try await store.head(try key(name)) == put)
      }
      let page = try await store.list("", from: nil, limit: 1_000)
      #expect(page.objects.map(\.key.description) == names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
      #expect(page.next == nil)
    }
  }

  @Test func anETagTellsOfAChange() async throws {
    try await withStore { store in
      let name = try key("a/b.wav")
      let first = try await store.put(name, [1, 2, 3], type: "audio/wav")
      #expect(try await store.get(name, limit: 100, unless: first.etag) == nil)
      let second = try await store.put(name, [4, 5, 6], type: "audio/wav")
      #expect(second.etag != first.etag)
      #expect(try await store.get(name, limit: 100, unless: first.etag)?.bytes == [4, 5, 6])
    }
  }

  @Test func whatIsNotThereIsMissing() async throws {
    try await withStore { store in
      let name = try key("none/x.wav")
      #expect(try await store.head(name) == nil)
      let error = await #expect(throws: ObjectError.self) { _ = try await store.get(name, limit: 100, unless: nil) }
      #expect(error?.kind == .missing)
      #expect(error?.description == "there is no object 'none/x.wav' in \(store.place)")
      try await store.delete(name)
      #expect(try await store.list("none", from: nil, limit: 10).objects.isEmpty)
      _ = try await store.put(name, [1], type: "audio/wav")
      try await store.delete(name)
      #expect(try await store.head(name) == nil)
    }
  }

  @Test func whatIsTooLargeIsNotRead() async throws {
    try await withStore { store in
      let name = try key("large")
      _ = try await store.put(name, [UInt8](repeating: 7, count: 200_000), type: "audio/wav")
      #expect(try await store.get(name, limit: 200_000, unless: nil)?.bytes.count == 200_000)
      for limit in [199_999, 10] {
        let error = await #expect(throws: ObjectError.self) { _ = try await store.get(name, limit: limit, unless: nil) }
        #expect(error?.kind == .tooLarge)
      }
    }
  }

  @Test func aListingComesInPages() async throws {
    try await withStore { store in
      // `.` sorts before `/`, and `0` behind it.
      let names = ["a.txt", "a/1", "a/2/3", "a/2/4", "a/b", "a0", "b/1", "c"]
      for name in names { _ = try await store.put(try key(name), [1], type: "audio/wav") }
      for (prefix, limit) in [("", 1), ("", 2), ("", 4), ("", 8), ("a/", 1), ("a/2", 1), ("a", 3), ("x", 5)] {
        var found: [String] = []
        var mark: String?
        var pages = 0
        repeat {
          let page = try await store.list(prefix, from: mark, limit: limit)
          #expect(page.objects.count <= limit)
          found += page.objects.map(\.key.description)
          mark = page.next
          pages += 1
        } while mark != nil && pages < 20
        #expect(found == names.filter { $0.hasPrefix(prefix) }, "\(prefix) by \(limit)")
      }
      try await store.check()
    }
  }

  @Test func namesThatLeadElsewhereAreNone() {
    for name in [
      "", "/", "/etc/passwd", "a//b", "a/", "../a", "a/../../b", ".", "a/.", "a\nb", "a\u{0}",
      String(repeating: "k", count: 513),
    ] {
      let error = #expect(throws: ObjectError.self) { try ObjectKey(name) }
      #expect(error?.kind == .invalidKey)
    }
  }

  // MARK: What a bucket says no to

  private func error(_ store: S3ObjectStore, _ name: String = "x") async -> ObjectError? {
    defer { Task { await store.close() } }
    do throws(ObjectError) {
      _ = try await store.get(try ObjectKey(name), limit: 100, unless: nil)
      return nil
    } catch {
      return error
    }
  }

  @Test func aRefusalSaysWhichKeyIsWrong() async throws {
    let server = try Self.server.get()
    let url = server.url(prefix: "p")
    let counted = NIOLockedValueBox<[String]>([])
    let wrongSecret = try Self.store(url, key: server.accessKeyID, secret: "guessed") { operation, kind in
      counted.withLockedValue { $0.append("\(operation.rawValue) \(kind?.rawValue ?? "ok")") }
    }
    var error = await error(wrongSecret)
    #expect(error?.kind == .refused)
    #expect(
      error?.description == "s3://parley-objects/p/x: storage.s3.secret_access_key is not the secret of access_key_id")
    #expect(counted.withLockedValue { $0 } == ["get refused"])
    error = await self.error(try Self.store(url, key: "AKIAAAAAAAAAAAAAAAAA", secret: "guessed"))
    #expect(error?.kind == .refused)
    #expect(error?.description == "s3://parley-objects/p/x: the store does not know storage.s3.access_key_id")
    error = await self.error(try Self.store(url, key: server.strangersAccessKeyID, secret: server.strangersSecret))
    #expect(error?.kind == .refused)
    #expect(error?.description.contains("these credentials may not do that") == true)
    #expect(error?.description.contains(server.strangersSecret) == false)
  }

  @Test func aBucketThatIsNotThereIsSaid() async throws {
    let server = try Self.server.get()
    let store = try Self.store(
      server.url().replacing(server.bucket, with: "another-bucket"), key: server.accessKeyID,
      secret: server.secretAccessKey)
    let error = await #expect(throws: ObjectError.self) { try await store.check() }
    #expect(error?.kind == .failed)
    #expect(error?.description == "there is no bucket another-bucket at \(server.endpoint)")
    await store.close()
  }

  @Test func aStoreThatIsNotThereIsUnavailable() async throws {
    let counted = NIOLockedValueBox(0)
    let store = try Self.store("s3://bucket?endpoint=http://127.0.0.1:1", key: "k", secret: "s") { _, kind in
      if kind == .unavailable { counted.withLockedValue { $0 += 1 } }
    }
    let error = await error(store)
    #expect(error?.kind == .unavailable)
    #expect(error?.description.hasPrefix("s3://bucket: 127.0.0.1") == true)
    #expect(counted.withLockedValue { $0 } == 2, "it is asked twice")
  }

  @Test func aPrivateAuthorityIsBelieved() async throws {
    let authority = try TestAuthority("IP:127.0.0.1")
    defer { authority.remove() }
    let server = try S3Server(tlsFolder: authority.folder)
    defer { server.stop() }
    let url = server.url()
    let trusting = try Self.store(
      url, key: server.accessKeyID, secret: server.secretAccessKey, authorities: authority.folder + "/ca.pem")
    try await trusting.check()
    await trusting.close()
    let strict = try Self.store(url, key: server.accessKeyID, secret: server.secretAccessKey)
    let error = await #expect(throws: ObjectError.self) { try await strict.check() }
    #expect(error?.kind == .failed)
    #expect(error?.description.contains("TLS") == true)
    await strict.close()
  }

  /// What other servers answer.
  @Test(
    arguments: [
      (
        301, ["x-amz-bucket-region": "eu-central-1"], "",
        ObjectError.Kind.failed,
        "the bucket bucket lies in another region: write region=eu-central-1 in storage.objects"
      ),
      (503, [:], "<Error><Code>SlowDown</Code><Message>later</Message></Error>", .unavailable, "(SlowDown: later)"),
      (502, [:], "<html>Bad Gateway", .unavailable, "the store answers 502"),
      (418, [:], "", .failed, "the store answers 418"),
      (403, [:], "<Error><Code>RequestTimeTooSkewed</Code></Error>", .refused, "clock"),
      (403, [:], "<Error><Code>ExpiredToken</Code></Error>", .refused, "storage.s3.session_token"),
      (404, [:], "not found", .missing, "there is no object 'x'"),
    ] as [(Int, [String: String], String, ObjectError.Kind, String)])
  func answersHaveSentences(status: Int, headers: [String: String], body: String, kind: ObjectError.Kind, said: String)
    async throws
  {
    let server = ScriptedHTTPServer { _ in
      ScriptedHTTPServer.Step.answer(status, body, headers.map { ($0.key, $0.value) })
    }
    let port = try await server.start()
    let store = try Self.store("s3://bucket?endpoint=http://127.0.0.1:\(port)", key: "k", secret: "s")
    let error = await error(store)
    #expect(error?.kind == kind)
    #expect(error?.description.contains(said) == true, "\(error?.description ?? "")")
    await server.stop()
  }
}

extension ObjectStoreTests {
  /// The bucket stands in the host's name there, and credentials that are lent carry their token.
  @Test func theHostMayNameTheBucket() async throws {
    let server = ScriptedHTTPServer { _ in ScriptedHTTPServer.Step.answer(200, "sound", [("ETag", "\"e\"")]) }
    let port = try await server.start()
    var storage = StorageSettings()
    storage.objects = try ObjectsAddress("s3://bucket/p?endpoint=http://localhost:\(port)&path_style=false")
    storage.s3.accessKeyID = Secret("id")
    storage.s3.secretAccessKey = Secret("secret")
    storage.s3.sessionToken = Secret("lent")
    let store = S3ObjectStore(
      try #require(storage.objectsBucket), storage.s3, product: "test", group: MultiThreadedEventLoopGroup.singleton,
      nowMs: { 0 }, logger: quiet)
    // Names below `localhost` lead to this machine only where the resolver knows RFC 6761.
    if let object = try? await store.get(try ObjectKey("a b"), limit: 10, unless: "\"d\"") {
      #expect(object.bytes == Array("sound".utf8) && object.info.etag == "\"e\"")
      let request = try #require(server.requests.first)
      #expect(request.header("Host") == "bucket.localhost:\(port)")
      #expect(request.uri == "/p/a%20b")
      #expect(request.header("x-amz-security-token") == "lent")
      #expect(request.header("x-amz-date") == "19700101T000000Z")
      #expect(request.header("If-None-Match") == "\"d\"")
      #expect(
        request.header("Authorization")?.contains(
          "host;if-none-match;x-amz-content-sha256;x-amz-date;x-amz-security-token") == true)
    }
    await store.close()
    await server.stop()
  }
}
