import Base

/// What `storage.redis` says: which servers, who we are there, and how the way to them is protected.
///
///     redis://[user:password@]host[:6379][/database]
///     rediss://...?ca=FILE&cert=FILE&key=FILE
///     redis+sentinel://[user:password@]host[:26379],host.../master[/database]?sentinel_user=...&sentinel_password=...
///     rediss+sentinel://...
public struct RedisAddress: Sendable, Hashable {
  public struct Server: Sendable, Hashable, CustomStringConvertible {
    public var host: String
    public var port: Int

    public init(host: String, port: Int) {
      self.host = host
      self.port = port
    }

    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
  }

  public struct Credentials: Sendable, Hashable {
    /// `default` where the address names none.
    public var user: String
    public var password: Secret
  }

  /// Paths of PEM files.
  public struct TLS: Sendable, Hashable {
    /// Authorities that the server's certificate may come from; nil: the system's.
    public var authoritiesFile: String?
    /// What is shown to a server that asks for a certificate.
    public var certificateFile: String?
    public var keyFile: String?

    public init(authoritiesFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil) {
      self.authoritiesFile = authoritiesFile
      self.certificateFile = certificateFile
      self.keyFile = keyFile
    }
  }

  /// Sentinels, where there is a ``master``; otherwise the one server.
  public var servers: [Server]
  /// The name under which the sentinels know the server that takes writes.
  public var master: String?
  public var credentials: Credentials?
  public var sentinelCredentials: Credentials?
  public var database: Int
  /// nil: nothing is encrypted.
  public var tls: TLS?

  /// Sentinels that one address may name.
  static let serverLimit = 16

  /// - Throws: ``Problem``, which repeats nothing of the address.
  public init(_ text: String) throws(Problem) {
    guard text.utf8.count <= 4_096, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
      throw Problem("is no address: it has at most 4096 visible ASCII characters")
    }
    let schemes = [
      ("redis://", false, false), ("rediss://", true, false), ("redis+sentinel://", false, true),
      ("rediss+sentinel://", true, true),
    ]
    guard let (scheme, isEncrypted, isSentinel) = schemes.first(where: { text.hasPrefix($0.0) }) else {
      throw Problem("must begin with redis://, rediss:// or redis+sentinel://")
    }
    guard !text.contains("#") else { throw Problem("has a `#`: write %23 within a password") }
    let parts = text.dropFirst(scheme.count).split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    let pathParts = parts[0].split(separator: "/", omittingEmptySubsequences: false)
    var authority = pathParts[0]
    if let at = authority.lastIndex(of: "@") {
      credentials = try Self.credentials(authority[..<at])
      authority = authority[authority.index(after: at)...]
    }
    servers = try Self.servers(authority, defaultPort: isSentinel ? 26_379 : 6_379)
    if !isSentinel, servers.count > 1 { throw Problem("names several servers: that is for redis+sentinel://") }
    var path = pathParts.dropFirst()
    if path.last == "" { path.removeLast() }
    if isSentinel {
      guard let name = path.popFirst(), Self.isMasterName(name) else {
        throw Problem("does not name the master: write redis+sentinel://host:26379/mymaster")
      }
      master = String(name)
    }
    database = try Self.database(path)
    if isEncrypted { tls = TLS() }
    try readQuery(parts.count > 1 ? parts[1] : "")
  }

  /// What is wrong with an address; goes after `storage.redis:`.
  public struct Problem: Error, Sendable, Hashable, CustomStringConvertible {
    public var description: String
    init(_ description: String) { self.description = description }
  }

  /// For logs and messages: without user and password.
  public var place: String {
    let scheme = (tls == nil ? "redis" : "rediss") + (master == nil ? "" : "+sentinel")
    let names = servers.map(\.description).joined(separator: ",")
    return "\(scheme)://\(names)" + (master.map { "/\($0)" } ?? "") + (database == 0 ? "" : "/\(database)")
  }

  // MARK: Pieces

  private static func credentials(_ text: Substring) throws(Problem) -> Credentials {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2 else { throw Problem("has a user without a password: write user:password@ or :password@") }
    guard let user = parts[0].percentDecoded(), let password = parts[1].percentDecoded(), !password.isEmpty else {
      throw Problem("has a user or password that cannot be read: write what is special in it as %40")
    }
    return Credentials(user: user.isEmpty ? "default" : user, password: Secret(password))
  }

  static func servers(_ text: Substring, defaultPort: Int) throws(Problem) -> [Server] {
    let names = text.split(separator: ",", omittingEmptySubsequences: false)
    guard names.count <= serverLimit else { throw Problem("names more than \(serverLimit) servers") }
    var servers: [Server] = []
    for name in names {
      var host = name
      var port = defaultPort
      if name.hasPrefix("["), let end = name.firstIndex(of: "]") {
        host = name[name.index(after: name.startIndex)..<end]
        port = try Self.port(name[name.index(after: end)...], defaultPort)
        guard host.contains(":") else { throw Problem("has brackets around what is no IPv6 address") }
      } else if let colon = name.firstIndex(of: ":") {
        host = name[..<colon]
        port = try Self.port(name[colon...], defaultPort)
      }
      let fits = host.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"),
          UInt8(ascii: ":"):
          true
        default: false
        }
      }
      guard !host.isEmpty, host.utf8.count <= 253, fits else { throw Problem("has no host, or one that is none") }
      servers.append(Server(host: String(host), port: port))
    }
    return servers
  }

  /// `:6379`, or nothing.
  private static func port(_ text: Substring, _ fallback: Int) throws(Problem) -> Int {
    if text.isEmpty { return fallback }
    guard text.first == ":", let port = UInt16(text.dropFirst()), port > 0 else {
      throw Problem("has a port that is none: 1 to 65535")
    }
    return Int(port)
  }

  private static func database(_ path: ArraySlice<Substring>) throws(Problem) -> Int {
    guard let text = path.first else { return 0 }
    guard path.count == 1, let number = UInt16(text), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
      throw Problem("has a path that is no number of a database")
    }
    return Int(number)
  }

  private static func isMasterName(_ text: Substring) -> Bool {
    (1...64).contains(text.utf8.count)
      && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) }
  }

  private mutating func readQuery(_ query: Substring) throws(Problem) {
    var seen: Set<Substring> = []
    var sentinelUser = "default"
    var sentinelPassword: String?
    for pair in query.split(separator: "&") {
      let name = pair.prefix { $0 != "=" }
      guard seen.insert(name).inserted else { throw Problem("says `\(name)` twice") }
      guard let value = pair.dropFirst(name.count + 1).percentDecoded(), !value.isEmpty else {
        throw Problem("has no value for one of its parameters")
      }
      switch name {
      case "ca" where tls != nil: tls?.authoritiesFile = value
      case "cert" where tls != nil: tls?.certificateFile = value
      case "key" where tls != nil: tls?.keyFile = value
      case "ca", "cert", "key": throw Problem("has `\(name)` without TLS: write rediss://")
      case "sentinel_user" where master != nil: sentinelUser = value
      case "sentinel_password" where master != nil: sentinelPassword = value
      default:
        throw Problem(
          "has a parameter that is unknown: ca, cert, key, sentinel_user and sentinel_password can stand here")
      }
    }
    if (tls?.certificateFile == nil) != (tls?.keyFile == nil) {
      throw Problem("has only one of `cert` and `key`: both are needed")
    }
    if let sentinelPassword {
      sentinelCredentials = Credentials(user: sentinelUser, password: Secret(sentinelPassword))
    } else if seen.contains("sentinel_user") {
      throw Problem("has `sentinel_user` without `sentinel_password`")
    }
  }
}

extension RedisAddress {
  static let codec = Codec<RedisAddress?>(
    kind: "`redis://`, `rediss://` or `redis+sentinel://` address, or empty",
    read: { node, decoding in
      guard let text = decoding.scalar(node, expected: "an address of Redis") else { return nil }
      if text.isEmpty { return .some(nil) }
      do {
        return try RedisAddress(text)
      } catch {
        return decoding.fail(node, "\(error)")
      }
    },
    show: { address in
      guard let address else { return "" }
      return .string(address.credentials == nil ? address.place : address.place.replacing("://", with: "://***@"))
    })
}
