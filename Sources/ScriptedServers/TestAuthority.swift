/// A folder with an authority and a certificate that it has signed: `ca.pem`, `server.pem`, `server.key`.
public struct TestAuthority: Sendable {
  public let folder: String

  /// - Parameter name: whom the certificate is for: `IP:127.0.0.1`, `DNS:redis.test`.
  public init(_ name: String) throws {
    folder = try Shell.run(
      """
      folder=$(mktemp -d); cd "$folder"
      { openssl req -x509 \(Self.key) -days 2 -subj '/CN=Test authority' -keyout ca.key -out ca.pem; } 2>/dev/null
      echo "$folder"
      """)
    try sign(name)
  }

  private static let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"

  /// Signs another certificate; it takes the place of the first, as a renewed one does.
  public func sign(_ name: String) throws {
    _ = try Shell.run(
      """
      cd '\(folder)'
      openssl req \(Self.key) -subj '/CN=server' -keyout new.key -out server.csr 2>/dev/null
      echo "subjectAltName=\(name)" >names
      openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out new.pem 2>/dev/null
      mv new.key server.key; mv new.pem server.pem
      """)
  }

  public func remove() { _ = try? Shell.run("rm -rf '\(folder)'") }
}
