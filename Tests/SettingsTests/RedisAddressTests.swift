import Settings
import Testing

/// Addresses of Redis are read strictly, and never repeated with their passwords.
@Suite struct RedisAddressTests {
  @Test func everyFormIsRead() throws {
    let plain = try RedisAddress("redis://localhost")
    #expect(plain.servers == [.init(host: "localhost", port: 6379)])
    #expect(plain.credentials == nil && plain.database == 0 && plain.tls == nil && plain.master == nil)

    let full = try RedisAddress("rediss://ann:p%40ss%3A@[::1]:7000/12?ca=/etc/ca.pem&cert=/etc/c.pem&key=/etc/k.pem")
    #expect(full.servers == [.init(host: "::1", port: 7000)])
    #expect(full.credentials?.user == "ann" && full.credentials?.password.reveal() == "p@ss:")
    #expect(full.database == 12)
    #expect(full.tls == .init(authoritiesFile: "/etc/ca.pem", certificateFile: "/etc/c.pem", keyFile: "/etc/k.pem"))
    #expect(full.place == "rediss://[::1]:7000/12")

    let sentinel = try RedisAddress("redis+sentinel://:pw@s1,s2:5000/my-master/3?sentinel_password=other")
    #expect(sentinel.servers == [.init(host: "s1", port: 26379), .init(host: "s2", port: 5000)])
    #expect(sentinel.master == "my-master" && sentinel.database == 3)
    #expect(sentinel.credentials?.user == "default" && sentinel.sentinelCredentials?.password.reveal() == "other")
    #expect(sentinel.place == "redis+sentinel://s1:26379,s2:5000/my-master/3")
    #expect(!"\(sentinel)".contains("pw") && !"\(sentinel)".contains("other"))
    #expect(try RedisAddress("rediss+sentinel://s/m").tls != nil)
    #expect(try RedisAddress("redis://host/").database == 0)
  }

  @Test(arguments: [
    ("localhost:6379", "must begin with redis://, rediss:// or redis+sentinel://"),
    ("redis://", "has no host, or one that is none"),
    ("redis://:@host", "has a user or password that cannot be read: write what is special in it as %40"),
    ("redis://hunter22@host", "has a user without a password: write user:password@ or :password@"),
    ("redis://:hunter22%4@host", "has a user or password that cannot be read: write what is special in it as %40"),
    ("redis://host:0", "has a port that is none: 1 to 65535"),
    ("redis://host:70000", "has a port that is none: 1 to 65535"),
    ("redis://a,b", "names several servers: that is for redis+sentinel://"),
    ("redis://host/main", "has a path that is no number of a database"),
    ("redis://host/1/2", "has a path that is no number of a database"),
    ("redis://ho st", "is no address: it has at most 4096 visible ASCII characters"),
    ("redis://ho^st", "has no host, or one that is none"),
    ("redis://:a#hunter22@host", "has a `#`: write %23 within a password"),
    ("redis+sentinel://s1,s2", "does not name the master: write redis+sentinel://host:26379/mymaster"),
    ("redis://host?ca=/x", "has `ca` without TLS: write rediss://"),
    ("rediss://host?cert=/x", "has only one of `cert` and `key`: both are needed"),
    (
      "redis://host?password=hunter22",
      "has a parameter that is unknown: ca, cert, key, sentinel_user and sentinel_password can stand here"
    ),
    ("rediss://host?ca=/x&ca=/y", "says `ca` twice"),
    ("redis+sentinel://s/m?sentinel_user=ann", "has `sentinel_user` without `sentinel_password`"),
  ])
  func whatIsWrongIsSaidWithoutThePassword(address: String, problem: String) {
    let error = #expect(throws: RedisAddress.Problem.self) { _ = try RedisAddress(address) }
    #expect(error?.description == problem)
    #expect(error?.description.contains("hunter22") != true)
  }
}
