/// `auth` of a service: how the gateway proves who it is.
extension IntegrationSettings {
  public enum Authentication: Sendable, Hashable {
    case none
    /// `Authorization: Bearer token`.
    case bearer(token: Secret)
    /// `header: key`.
    case apiKey(header: String, key: Secret)
    /// `Authorization: Basic` (RFC 7617).
    case basic(username: String, password: Secret)
    /// Signed like webhooks, with each of the secrets: two while one is exchanged.
    case hmac(secrets: [Secret])
    /// `Authorization: Bearer` with a token of an authorization server (RFC 6749 section 4.4, client credentials).
    case oauth2(OAuth2)
    /// A certificate of TLS, from PEM files.
    case mtls(certificate: String, key: String)
  }

  /// `auth` of type oauth2.
  public struct OAuth2: Sendable, Hashable {
    /// How the client shows itself to the authorization server (RFC 6749 section 2.3.1).
    public enum ClientAuthentication: String, Sendable, CaseIterable {
      /// `Authorization: Basic`.
      case basic
      /// `client_id` and `client_secret` in the form.
      case post
    }
    public var tokenURL = ""
    public var clientID = ""
    public var clientSecret = Secret("")
    public var scopes: [String] = []
    /// For authorization servers that want one (RFC 8707 calls it resource, most servers `audience`); empty: none.
    public var audience = ""
    public var clientAuthentication = ClientAuthentication.basic
    public init() {}
  }
}
