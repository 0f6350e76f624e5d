import Base
import Logging
import NIOCore
import Outbound
import Settings

/// Objects in a bucket of AWS S3 or of another server that speaks its protocol: MinIO, Ceph, SeaweedFS. Safe to use from any
/// thread.
///
/// What can be asked twice is: once more where a connection broke or the server said that it could not just now.
public struct S3ObjectStore: ObjectStore {
  /// For a request whose answer is short.
  static let shortTimeout: Duration = .seconds(5)
  /// For an object's bytes, in either direction.
  static let longTimeout: Duration = .seconds(30)
  /// Between two attempts.
  static let pause: Duration = .milliseconds(200)
  static let attempts = 2
  /// Bytes of an answer that says what went wrong.
  static let failureBytes = 64 << 10

  /// What the request was for, in metrics.
  public enum Operation: String, Sendable { case head, get, put, delete, list }

  private let address: BucketAddress
  private let token: Secret
  private let signature: S3Signature
  /// Of the requests: the bucket's host in one style, the service's in the other.
  private let origin: String
  private let server: ConfiguredServer
  private let nowMs: @Sendable () -> Int64
  private let count: @Sendable (Operation, ObjectError.Kind?) -> Void

  /// - Parameters:
  ///   - product: the `User-Agent`.
  ///   - group: event loops of the connections.
  ///   - nowMs: wall-clock milliseconds; a store refuses signatures that are off by a quarter of an hour.
  ///   - count: told of every request that ended; nil: with success.
  public init(
    _ address: BucketAddress, _ settings: S3Settings, product: String, group: any EventLoopGroup,
    nowMs: @escaping @Sendable () -> Int64, logger: Logger,
    count: @escaping @Sendable (Operation, ObjectError.Kind?) -> Void = { _, _ in }
  ) {
    self.address = address
    token = settings.sessionToken
    signature = S3Signature(
      accessKeyID: settings.accessKeyID, secretAccessKey: settings.secretAccessKey, region: address.region)
    origin =
      address.isPathStyle
      ? address.endpoint : address.endpoint.replacing("://", with: "://\(address.bucket).", maxReplacements: 1)
    let authorities = settings.authoritiesFile
    server = ConfiguredServer(
      url: origin, product: product,
      identity: authorities.isEmpty ? nil : ClientIdentity(authoritiesFile: authorities), group: group, logger: logger)
    self.nowMs = nowMs
    self.count = count
  }

  public var place: String { address.place }

  public func head(_ key: ObjectKey) async throws(ObjectError) -> ObjectInfo? {
    do {
      return info(key, try await perform(.head, key: key), size: nil)
    } catch {
      if error.kind == .missing { return nil }
      throw error
    }
  }

  public func get(_ key: ObjectKey, limit: Int, unless etag: String?) async throws(ObjectError) -> StoredObject? {
    let headers = etag.map { [(name: "If-None-Match", value: $0)] } ?? []
    let answer = try await perform(.get, key: key, headers: headers, limit: limit)
    if answer.status == 304 { return nil }
    guard let bytes = answer.body else { throw ObjectError.tooLarge(key, in: place, limit: limit) }
    return StoredObject(info: info(key, answer, size: bytes.count), bytes: bytes)
  }

  public func put(_ key: ObjectKey, _ bytes: [UInt8], type: String) async throws(ObjectError) -> ObjectInfo {
    let answer = try await perform(.put, key: key, headers: [("Content-Type", type)], body: bytes)
    return info(key, answer, size: bytes.count)
  }

  public func delete(_ key: ObjectKey) async throws(ObjectError) {
    do {
      _ = try await perform(.delete, key: key)
    } catch {
      guard error.kind == .missing else { throw error }
    }
  }

  public func list(_ prefix: String, from mark: String?, limit: Int) async throws(ObjectError) -> ObjectPage {
    let base = address.prefix.isEmpty ? "" : address.prefix + "/"
    var query = [
      (name: "list-type", value: "2"), (name: "prefix", value: base + prefix),
      (name: "max-keys", value: "\(max(1, min(limit, ObjectPage.limit)))"),
    ]
    if let mark { query.append((name: "continuation-token", value: mark)) }
    let answer = try await perform(.list, key: nil, query: query, limit: S3XML.documentLimit)
    let listing: S3Listing
    do {
      listing = try S3Listing(answer.body ?? [])
    } catch {
      throw ObjectError(.failed, "\(place) answers with a listing that cannot be read")
    }
    // What others have put there may have names that mean nothing here, such as the marks of folders.
    let objects = listing.entries.compactMap { entry -> ObjectInfo? in
      guard entry.key.hasPrefix(base), let key = try? ObjectKey(String(entry.key.dropFirst(base.count))) else {
        return nil
      }
      return ObjectInfo(key: key, size: entry.size, etag: entry.etag)
    }
    return ObjectPage(objects: objects, next: listing.next)
  }

  public func check() async throws(ObjectError) { _ = try await list("", from: nil, limit: 1) }

  public func close() async { await server.close() }

  // MARK: One request

  private func info(_ key: ObjectKey, _ answer: ConfiguredServer.Response, size: Int?) -> ObjectInfo {
    let length = answer.header("Content-Length").flatMap { Int($0) }
    return ObjectInfo(key: key, size: size ?? length ?? 0, etag: answer.header("ETag") ?? "")
  }

  /// - Parameter key: nil: the bucket.
  private func perform(
    _ operation: Operation, key: ObjectKey?, query: [(name: String, value: String)] = [],
    headers: [(name: String, value: String)] = [], body: [UInt8] = [], limit: Int = Self.failureBytes
  ) async throws(ObjectError) -> ConfiguredServer.Response {
    let deadline = Instant.monotonic() + (operation == .get || operation == .put ? Self.longTimeout : Self.shortTimeout)
    var attempt = 1
    while true {
      do {
        let answer = try await ask(operation, key, query, headers, body, limit, until: deadline)
        count(operation, nil)
        return answer
      } catch {
        count(operation, error.kind)
        let isLast =
          attempt == Self.attempts || error.kind != .unavailable || Instant.monotonic() + Self.pause >= deadline
        guard !isLast, (try? await Task.sleep(for: Self.pause)) != nil else { throw error }
        attempt += 1
      }
    }
  }

  private func ask(
    _ operation: Operation, _ key: ObjectKey?, _ query: [(name: String, value: String)],
    _ headers: [(name: String, value: String)], _ body: [UInt8], _ limit: Int, until deadline: Instant
  ) async throws(ObjectError) -> ConfiguredServer.Response {
    let method =
      switch operation {
      case .head: "HEAD"
      case .get, .list: "GET"
      case .put: "PUT"
      case .delete: "DELETE"
      }
    var path = address.isPathStyle ? "/\(address.bucket)" : ""
    if let key { path += "/" + (address.prefix.isEmpty ? "" : address.prefix + "/") + "\(key)" }
    path = path.isEmpty ? "/" : S3Signature.encoded(path, keepingSlashes: true)
    let asked = S3Signature.query(query)
    let hash = S3Signature.hash(body)
    let time = S3Signature.time(unixMilliseconds: nowMs())
    var signed =
      headers + [
        (name: "Host", value: host), (name: "x-amz-content-sha256", value: hash), (name: "x-amz-date", value: time),
      ]
    if !token.isEmpty { signed.append((name: "x-amz-security-token", value: token.reveal())) }
    let authorization = signature.authorization(
      method: method, path: path, query: asked, headers: signed, payloadHash: hash, time: time)
    let request = ConfiguredServer.Request(
      method: method, target: asked.isEmpty ? path : "\(path)?\(asked)",
      headers: signed + [(name: "Authorization", value: authorization)], body: body)
    let answer: ConfiguredServer.Response
    do {
      // An answer that tells of a failure is read even where little is wanted.
      answer = try await server.exchange(
        request, limit: max(limit, Self.failureBytes), timeout: deadline - Instant.monotonic())
    } catch {
      throw Self.error(error, place: place)
    }
    switch answer.status {
    case 200..<300 where (answer.body?.count ?? .max) > limit:
      // Only what may be large has a limit of its own.
      var cut = answer
      cut.body = nil
      return cut
    case 200..<300, 304: return answer
    default: throw failure(answer, key)
    }
  }

  /// What `Host` says, and what is signed of it.
  private var host: String {
    let rest = origin.drop { $0 != ":" }.dropFirst(3)
    for usual in [":80", ":443"] where rest.hasSuffix(usual) && origin.hasPrefix("https") == (usual == ":443") {
      return String(rest.dropLast(usual.count))
    }
    return String(rest)
  }

  private static func error(_ error: OutboundError, place: String) -> ObjectError {
    let kind: ObjectError.Kind =
      switch error.kind {
      case .unresolved, .unreachable, .timeout, .closed: .unavailable
      case .invalidURL, .refused, .untrusted, .cancelled, .failed: .failed
      }
    return ObjectError(kind, "\(place): \(error)")
  }

  // MARK: What went wrong

  private func failure(_ answer: ConfiguredServer.Response, _ key: ObjectKey?) -> ObjectError {
    let failure = S3Failure(answer.body ?? [])
    let what = key.map { "\(place)/\($0)" } ?? place
    let said = [failure.code, failure.message].filter { !$0.isEmpty }.joined(separator: ": ")
    let region = answer.header("x-amz-bucket-region") ?? ""
    if (300..<400).contains(answer.status) || failure.code == "AuthorizationHeaderMalformed", !region.isEmpty,
      region != address.region
    {
      return ObjectError(
        .failed, "the bucket \(address.bucket) lies in another region: write region=\(region) in storage.objects")
    }
    switch answer.status {
    case 404 where failure.code == "NoSuchBucket" || key == nil:
      return ObjectError(.failed, "there is no bucket \(address.bucket) at \(address.endpoint)")
    case 404: return ObjectError(.missing, "there is no object '\(key?.description ?? "")' in \(place)")
    case 401, 403: return ObjectError(.refused, Self.refusal(what, failure, said))
    case 429, 500...:
      return ObjectError(.unavailable, "\(what): the store answers \(answer.status)\(said.isEmpty ? "" : " (\(said))")")
    default:
      return ObjectError(.failed, "\(what): the store answers \(answer.status)\(said.isEmpty ? "" : " (\(said))")")
    }
  }

  private static func refusal(_ what: String, _ failure: S3Failure, _ said: String) -> String {
    switch failure.code {
    case "InvalidAccessKeyId": "\(what): the store does not know storage.s3.access_key_id"
    case "SignatureDoesNotMatch": "\(what): storage.s3.secret_access_key is not the secret of access_key_id"
    case "ExpiredToken", "InvalidToken", "TokenRefreshRequired":
      "\(what): storage.s3.session_token is not valid any more, or never was"
    case "RequestTimeTooSkewed": "\(what): this machine's clock and the store's are too far apart"
    // A store does not tell whoever may not list that there is no such object.
    default: "\(what): these credentials may not do that, or there is no such object\(said.isEmpty ? "" : " (\(said))")"
    }
  }
}
