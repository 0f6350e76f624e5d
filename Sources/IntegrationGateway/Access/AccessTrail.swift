import Base
import HTTPTypes
import NIOConcurrencyHelpers
import Storage

/// Tells the audit log what the API did: every change, every use of the ears and voices, and every request that was denied.
/// Reading leaves no trace.
final class AccessTrail: Sendable {
  /// What is known of a request when it has been answered.
  struct Visit: Sendable {
    /// nil: it did not get so far.
    var principal: Principal?
    var route: APIRoute?
    var method: HTTPRequest.Method
    /// Without its query, which may hold a token.
    var path: String
    var peer: String
    var requestID = ""
    /// ``APIRequest/details``.
    var details = NIOLockedValueBox<[String: Value]>([:])
  }

  private struct Denials {
    var bucket = TokenBucket(perSecond: AccessLimits.denialsPerSecond, burst: AccessLimits.denialBurst)
    /// Since the last one that was named.
    var unnamed: Int64 = 0
  }

  private let log: AuditLog?
  private let now: @Sendable () -> Instant
  private let denials = NIOLockedValueBox(Denials())

  init(_ log: AuditLog?, now: @escaping @Sendable () -> Instant = Instant.monotonic) {
    self.log = log
    self.now = now
  }

  func note(_ visit: Visit, status: HTTPResponse.Status) {
    guard let log else { return }
    let isDenied = [.unauthorized, .forbidden, .tooManyRequests].contains(status)
    guard isDenied || visit.isKept else { return }
    var details = visit.details.withLockedValue { $0 }
    if isDenied {
      // A flood of denials must neither fill the disk nor hide who did it.
      let unnamed = denials.withLockedValue { denials -> Int64? in
        if denials.bucket.take(at: now()) != nil {
          denials.unnamed += 1
          return nil
        }
        defer { denials.unnamed = 0 }
        return denials.unnamed
      }
      guard let unnamed else { return }
      if unnamed > 0 { details["denied_before"] = .int(unnamed) }
    }
    log.record(
      tenant: visit.principal?.tenant ?? Tenant.standard, actor: visit.principal?.id ?? "",
      action: "\(visit.method.rawValue) \(visit.route?.path ?? "unknown")", object: visit.path,
      outcome: isDenied ? .denied : status.code < 400 ? .ok : .failed, status: status.code, peer: visit.peer,
      requestID: visit.requestID, details: details)
  }
}

extension AccessTrail.Visit {
  /// Somebody who is known asked for a change, or for work, whatever came of it.
  fileprivate var isKept: Bool {
    guard principal != nil, let route else { return false }
    return route.leavesTrace || ![.get, .head, .options].contains(method)
  }
}
