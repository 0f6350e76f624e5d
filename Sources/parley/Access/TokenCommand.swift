import ArgumentParser
import Base
import FoundationEssentials
import Settings
import Storage
import Telemetry

struct TokenCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "token", abstract: "Make, list and revoke tokens of the API.",
    discussion: """
      Works on the database of the configuration, whether the gateway runs or not. A gateway that runs knows a new token at \
      once, and refuses a revoked one within five seconds.
      """,
    subcommands: [CreateTokenCommand.self, ListTokensCommand.self, RevokeTokenCommand.self])
}

extension Role: ExpressibleByArgument {}

/// `12h`, `90d`.
struct TokenLifetime: ExpressibleByArgument {
  var milliseconds: Int64

  init?(argument: String) {
    guard let duration = DurationText.read(argument), duration >= .seconds(1), duration <= .seconds(3660 * 86_400)
    else {
      return nil
    }
    milliseconds = duration.milliseconds
  }
}

struct TokenTenant: ParsableArguments {
  @Option(help: "The tenant; its tokens see and change nothing of any other.")
  var tenant = Tenant.standard

  func validate() throws {
    guard Tenant.isName(tenant) else {
      throw ValidationError("a tenant has 1 to 64 lower-case letters, digits, '-' and '_', a letter or digit first")
    }
  }
}

struct CreateTokenCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "create", abstract: "Make a token and print it. It cannot be shown again.")

  @Argument(help: "What it is for.")
  var name: String

  @Option(help: "What it may do (repeatable): \(Role.allCases.map(\.rawValue).joined(separator: ", ")).")
  var role: [Role] = []

  @Option(help: ArgumentHelp("How long it is valid: 12h, 90d. Without it, it does not expire.", valueName: "duration"))
  var expires: TokenLifetime?

  @OptionGroup var place: TokenTenant

  @Option(name: .shortAndLong, help: "The configuration file that says where the database is.")
  var config: String?

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    if role.isEmpty { throw ValidationError("name at least one --role") }
    guard (1...TokenLimits.nameCharacters).contains(name.count) else {
      throw ValidationError("a name has 1 to \(TokenLimits.nameCharacters) characters")
    }
  }

  func run() async throws {
    let place = try await AccessDatabase(config: config)
    let nowMs = WallClock.nowMilliseconds()
    let made: (token: String, record: TokenRecord)
    do {
      made = try await TokenStore(place.database).make(
        TokenDraft(
          tenant: self.place.tenant, name: name, roles: Set(role), createdBy: "command line",
          expiresAtMs: expires.map { nowMs + $0.milliseconds }), nowMs: nowMs)
    } catch {
      throw CommandFailure("\(error)")
    }
    await place.record(
      "token.create", tenant: made.record.tenant, object: made.record.id,
      details: ["name": .string(name), "roles": .list(made.record.roleNames.map { .string($0) })])
    if json {
      printLine(JSON.encode(.map(made.record.shown.merging(["token": .string(made.token)]) { old, _ in old })))
    } else {
      // The token alone on stdout: `TOKEN=$(parley token create ...)`.
      standardError("parley: token \(made.record.id); it cannot be shown again\n")
      printLine(made.token)
    }
  }
}

struct ListTokensCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "list", abstract: "List the tokens of a tenant.")

  @OptionGroup var place: TokenTenant

  @Option(name: .shortAndLong, help: "The configuration file that says where the database is.")
  var config: String?

  @Flag(help: "Print JSON lines.")
  var json = false

  func run() async throws {
    let store = TokenStore(try await AccessDatabase(config: config).database)
    let nowMs = WallClock.nowMilliseconds()
    var after: String?
    while true {
      let page: [TokenRecord]
      do {
        page = try await store.tokens(tenant: place.tenant, after: after, limit: StorageLimits.page)
      } catch {
        throw CommandFailure("\(error)")
      }
      for record in page {
        printLine(json ? JSON.encode(.map(record.shown)) : record.line(nowMs: nowMs))
      }
      guard page.count == StorageLimits.page, let last = page.last else { return }
      after = last.id
    }
  }
}

struct RevokeTokenCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "revoke", abstract: "Refuse a token from now on.")

  @Argument(help: "The token's identifier, as 'list' shows it.")
  var id: String

  @OptionGroup var place: TokenTenant

  @Option(name: .shortAndLong, help: "The configuration file that says where the database is.")
  var config: String?

  @Flag(help: "Print JSON.")
  var json = false

  func run() async throws {
    let place = try await AccessDatabase(config: config)
    let record: TokenRecord?
    do {
      record = try await TokenStore(place.database).revoke(
        id, tenant: self.place.tenant, nowMs: WallClock.nowMilliseconds())
    } catch {
      throw CommandFailure("\(error)")
    }
    guard let record else { throw CommandFailure("the tenant \(self.place.tenant) has no token \(id)") }
    await place.record(
      "token.revoke", tenant: record.tenant, object: record.id, details: ["name": .string(record.name)])
    printLine(json ? JSON.encode(.map(record.shown)) : "\(record.id) \(record.name): revoked")
  }
}

extension TokenRecord {
  fileprivate func line(nowMs: Int64) -> String {
    let state =
      revokedAtMs != nil ? "revoked" : isValid(atMs: nowMs) ? "valid" : "expired"
    return "\(id)  \(state)  \(roleNames.joined(separator: ","))  \(name)"
  }
}
