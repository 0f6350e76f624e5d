import Base
import Logging
import NIOPosix
import Outbound
import Settings

/// Asks the API of a running gateway for its calls: whether it is there, and lets the holder of a token in. Writes nothing.
struct APIExamination {
  /// `http://HOST:PORT`, with or without a path before `/v1`.
  var address: String
  /// nil: no token is shown.
  var tokenFile: String?
  var timeout: Duration

  /// Calls that are counted; of more it is only said that there are.
  private static let page = 100
  /// Bytes of their list: each call may bring its variables.
  private static let answerBytes = 8 << 20
  private static let tokenBytes = 8 * 1024

  func finding() async -> Finding {
    var headers = [(name: "Accept", value: "application/json")]
    if let tokenFile {
      let token: String
      do {
        token = try TextFile.read(tokenFile, limit: Self.tokenBytes).filter { !$0.isWhitespace }
      } catch {
        let reason = error.all.first.map { "\($0.file) \($0.message)" } ?? "\(tokenFile) cannot be read"
        return fail(
          reason, "name the file of a token that 'parley token create' made, or that is in security.api.tokens")
      }
      guard !token.isEmpty, token.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
        return fail("\(tokenFile) holds no token", "a token is one line of visible ASCII characters")
      }
      headers.append((name: "Authorization", value: "Bearer \(token)"))
    }
    var base = Substring(address)
    while base.hasSuffix("/") { base.removeLast() }
    guard !base.contains("?"), !base.contains("#") else {
      return fail("the address has a query or fragment", "write http://HOST:PORT")
    }
    let server = ConfiguredServer(
      url: "\(base)/v1/calls?limit=\(Self.page)", product: "Parley/\(Build.version)",
      group: MultiThreadedEventLoopGroup.singleton,
      logger: Logger(label: "parley") { _ in SwiftLogNoOpLogHandler() })
    let finding: Finding
    do throws(OutboundError) {
      let answer = try await server.exchange(
        ConfiguredServer.Request(method: "GET", headers: headers), limit: Self.answerBytes, timeout: timeout)
      finding = judge(answer.status, (try? JSON.decode(answer.body ?? [])) ?? .null)
    } catch {
      finding = judge(error)
    }
    await server.close()
    return finding
  }

  // MARK: What came

  private func judge(_ error: OutboundError) -> Finding {
    switch error.kind {
    case .invalidURL: fail("\(error)", "write http://HOST:PORT")
    case .unresolved: fail("\(error)", "is the name right, and does this machine's DNS know it?")
    case .unreachable:
      fail("\(error)", "does a gateway with the role integration listen there, and may this machine reach it?")
    case .timeout:
      fail(
        "there was no answer within \(DurationText.write(timeout))",
        "is that the API's port, and the gateway not overloaded?")
    case .untrusted: fail("\(error)", "its certificate must come from an authority of this system")
    default: fail("\(error)", "is that the API's port (integration.api_port)?")
    }
  }

  private func judge(_ status: Int, _ body: Value) -> Finding {
    let detail = body["detail"]?.stringValue.map { ": \($0.prefix(200))" } ?? ""
    switch status {
    case 200:
      guard case .list(let items)? = body["items"] else {
        return fail("what answers is not this API", "is that integration.api_port, and no other server?")
      }
      let isMore = body["next_cursor"]?.stringValue != nil
      let number = count(items.count, "call")
      let calls = isMore ? "more than \(number) are" : items.count == 1 ? "\(number) is" : "\(number) are"
      let access = tokenFile == nil ? "no token is needed" : "the token is accepted"
      return Finding(verdict: .ok, subject: "API", message: "\(address) answers, \(access), \(calls) active")
    case 401 where tokenFile == nil:
      return fail("it wants a token (401)", "name the file of one with --token-file")
    case 401:
      return fail(
        "the token in \(tokenFile ?? "") is not accepted (401)\(detail)", "'parley token list' shows those that are")
    case 403: return fail("the token may not read calls (403)\(detail)", "give it the role viewer, or more")
    case 404: return fail("there is no /v1/calls (404)", "is that integration.api_port, and no other server?")
    case 500...599:
      return fail("it answers \(status)\(detail)", "the gateway's log and /readyz of its metrics port say why")
    default: return fail("it answers \(status)\(detail)", "is that integration.api_port, and no other server?")
    }
  }

  private func fail(_ message: String, _ hint: String) -> Finding {
    Finding(verdict: .fail, subject: "API", message: "\(address): \(message)", hint: hint)
  }
}
