import Base

/// What `storage.objects` says: a folder, or a bucket that is spoken to by the S3 protocol.
///
///     file:///absolute/path
///     s3://BUCKET[/PREFIX][?endpoint=https://minio:9000&region=us-east-1&path_style=true]
public enum ObjectsAddress: Sendable, Hashable, CustomStringConvertible {
  /// An absolute path.
  case folder(String)
  case bucket(BucketAddress)

  /// What is wrong with an address; goes after `storage.objects:`.
  public struct Problem: Error, Sendable, Hashable, CustomStringConvertible {
    public var description: String
    init(_ description: String) { self.description = description }
  }

  /// - Throws: ``Problem``.
  public init(_ text: String) throws(Problem) {
    if text.hasPrefix("s3://") {
      self = .bucket(try BucketAddress(text))
    } else {
      guard text.hasPrefix("file:///"), text.count > 8 else { throw Problem("`\(text)` is no file or S3 URL") }
      self = .folder(String(text.dropFirst("file://".count)))
    }
  }

  /// As it is written in the configuration.
  public var description: String {
    switch self {
    case .folder(let path): "file://" + path
    case .bucket(let address): address.description
    }
  }
}

/// A bucket, and where it is.
public struct BucketAddress: Sendable, Hashable, CustomStringConvertible {
  public var bucket: String
  /// What stands before every key; no slash at either end, empty for none.
  public var prefix: String
  /// Scheme, host and port of the service, without the bucket.
  public var endpoint: String
  public var region: String
  /// Whether the bucket stands in the path (`https://host/bucket/key`) and not in the host's name (`https://bucket.host/key`).
  public var isPathStyle: Bool

  /// Where the address names none: what MinIO and most others take.
  static let defaultRegion = "us-east-1"
  /// Bytes: a key has 1024 with its prefix.
  static let prefixLimit = 512

  init(_ text: String) throws(ObjectsAddress.Problem) {
    typealias Problem = ObjectsAddress.Problem
    guard text.utf8.count <= 2_048, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }), !text.contains("#") else {
      throw Problem("is no address: it has at most 2048 visible ASCII characters, and no `#`")
    }
    let parts = text.dropFirst("s3://".count).split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    let path = parts[0].split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard Self.isBucket(path[0]) else {
      throw Problem(
        "`\(path[0])` is no name of a bucket: 3 to 63 lower-case letters, digits, `-` and `.`, no `.` or `-` at its ends"
      )
    }
    bucket = String(path[0])
    var rest = path.count > 1 ? path[1] : ""
    if rest.hasSuffix("/") { rest.removeLast() }
    let names = rest.split(separator: "/", omittingEmptySubsequences: false)
    guard rest.isEmpty || names.allSatisfy({ !["", ".", ".."].contains($0) }), rest.utf8.count <= Self.prefixLimit
    else {
      throw Problem("has a prefix that is none: names with one `/` between them, \(Self.prefixLimit) bytes at most")
    }
    prefix = String(rest)

    var named: [Substring: String] = [:]
    for pair in (parts.count > 1 ? parts[1] : "").split(separator: "&") {
      let name = pair.prefix { $0 != "=" }
      guard ["endpoint", "region", "path_style"].contains(name) else {
        throw Problem("has the parameter `\(name)`: only endpoint, region and path_style can stand here")
      }
      guard let value = pair.dropFirst(name.count + 1).percentDecoded(), !value.isEmpty else {
        throw Problem("has no value for `\(name)`")
      }
      guard named.updateValue(value, forKey: name) == nil else { throw Problem("says `\(name)` twice") }
    }
    region = named["region"] ?? Self.defaultRegion
    guard region.utf8.count <= 64,
      region.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "-_".contains($0)) })
    else { throw Problem("has a region that is none: letters, digits and `-`") }
    endpoint = try named["endpoint"].map(Self.origin) ?? "https://s3.\(region).amazonaws.com"
    switch named["path_style"] {
    case "true"?: isPathStyle = true
    case "false"?: isPathStyle = false
    case nil: isPathStyle = named["endpoint"] != nil
    default: throw Problem("has a path_style that is neither true nor false")
    }
    guard !isPathStyle else { return }
    let host = endpoint.drop { $0 != ":" }.dropFirst(3).prefix { $0 != ":" }
    if host.first == "[" || AddressBlock.parse(String(host)) != nil {
      throw Problem("names its endpoint by an IP address: write path_style=true")
    }
    if isSecure, bucket.contains(".") {
      throw Problem("has a bucket with a dot, for which no certificate is valid: write path_style=true")
    }
  }

  public var isSecure: Bool { endpoint.hasPrefix("https://") }

  /// For logs and messages: the bucket and the prefix.
  public var place: String { "s3://\(bucket)" + (prefix.isEmpty ? "" : "/\(prefix)") }

  public var description: String { "\(place)?endpoint=\(endpoint)&region=\(region)&path_style=\(isPathStyle)" }

  /// Scheme, host and port of a URL that has nothing else.
  private static func origin(_ text: String) throws(ObjectsAddress.Problem) -> String {
    guard let scheme = ["https://", "http://"].first(where: text.hasPrefix) else {
      throw ObjectsAddress.Problem("has an endpoint that is no http or https URL")
    }
    var rest = text.dropFirst(scheme.count)
    if rest.hasSuffix("/") { rest.removeLast() }
    guard !rest.contains(where: { "/?@,".contains($0) }) else {
      throw ObjectsAddress.Problem("has an endpoint with more than scheme, host and port")
    }
    do {
      _ = try RedisAddress.servers(rest, defaultPort: 443)
    } catch {
      throw ObjectsAddress.Problem("has an endpoint that \(error)")
    }
    return scheme + rest.lowercased()
  }

  private static func isBucket(_ text: Substring) -> Bool {
    (3...63).contains(text.utf8.count) && !text.hasPrefix(".") && !text.hasPrefix("-") && !text.hasSuffix(".")
      && !text.hasSuffix("-") && !text.contains("..")
      && text.utf8.allSatisfy {
        (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-")
      }
  }
}

/// `storage.s3`: who the gateway is to a bucket.
public struct S3Settings: Sendable, Hashable {
  public var accessKeyID = Secret("")
  public var secretAccessKey = Secret("")
  /// Of credentials that are lent for a while; empty: there is none.
  public var sessionToken = Secret("")
  /// Authorities that the server's certificate may come from, beside the system's: the path of a PEM file, or empty.
  public var authoritiesFile = ""

  public init() {}

  static let keys: [Field<S3Settings>] = [
    .key(
      "access_key_id", \.accessKeyID, .optionalSecret,
      "The access key; by default `AWS_ACCESS_KEY_ID` of the environment."),
    .key(
      "secret_access_key", \.secretAccessKey, .optionalSecret,
      "Its secret; by default `AWS_SECRET_ACCESS_KEY` of the environment."),
    .key(
      "session_token", \.sessionToken, .optionalSecret,
      "The token of credentials that are lent; by default `AWS_SESSION_TOKEN` where the keys come from the environment too."
    ),
    .key(
      "ca", \.authoritiesFile, .text("path"),
      "A PEM file of authorities that the server's certificate may come from, beside the system's."),
  ]
}

extension ObjectsAddress {
  static let codec = Codec<ObjectsAddress>(
    kind: "`file:///path` or `s3://bucket/prefix?endpoint=...&region=...&path_style=true`",
    read: { node, decoding in
      guard let text = decoding.scalar(node, expected: "a URL") else { return nil }
      do {
        return try ObjectsAddress(text)
      } catch {
        return decoding.fail(
          node, "\(error)",
          hint: "write file:///var/lib/voice-gateway/objects or s3://bucket?endpoint=https://minio:9000")
      }
    }, show: { .string($0.description) })
}

extension Decoding {
  /// Keys that nobody set are those that programs for AWS find in the environment.
  func deriveCredentials(_ storage: inout StorageSettings) {
    guard storage.objectsBucket != nil, storage.s3.accessKeyID.isEmpty, storage.s3.secretAccessKey.isEmpty else {
      return
    }
    storage.s3.accessKeyID = Secret(environment["AWS_ACCESS_KEY_ID"] ?? "")
    storage.s3.secretAccessKey = Secret(environment["AWS_SECRET_ACCESS_KEY"] ?? "")
    if storage.s3.sessionToken.isEmpty { storage.s3.sessionToken = Secret(environment["AWS_SESSION_TOKEN"] ?? "") }
  }

  mutating func check(_ storage: StorageSettings) {
    let keys = storage.s3
    guard let bucket = storage.objectsBucket else {
      if keys != S3Settings() { together("storage.s3 has no effect without a bucket in storage.objects") }
      return
    }
    switch (keys.accessKeyID.isEmpty, keys.secretAccessKey.isEmpty) {
    case (true, true):
      together(
        "storage.objects is a bucket, and there are no credentials for it: set storage.s3.access_key_id and storage.s3.secret_access_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment"
      )
    case (true, false): together("storage.s3.secret_access_key needs access_key_id")
    case (false, true): together("storage.s3.access_key_id needs secret_access_key")
    case (false, false): break
    }
    if !keys.authoritiesFile.isEmpty, !bucket.isSecure {
      together("storage.s3.ca has no effect without an https endpoint in storage.objects")
    }
  }
}
