import Base
import CallLink
import SDP
import SIP

/// What a successor has to know of a call when the process that served it is gone. It changes only with SIP, SDP and hold.
///
/// What is not in it begins anew: the leg with its SSRC, its timestamps and its counts, and the playbacks, which the speech
/// role clears and opens again.
struct MediaCallState {
  enum Phase: String {
    /// Not answered. Such a call is lost with its process, because the caller's INVITE transaction is: the peer hears
    /// nothing more of it, and the successor only ends it for the other roles.
    case offered
    /// Our 200 is out; the speech role has not been told.
    case answered
    case live
  }

  var session: SessionID
  var phase: Phase
  var isHeld: Bool
  var exchange: OfferAnswer
  /// From the answer on.
  var dialog: SIPDialogState?
}

extension MediaCallState {
  private static let version: Int64 = 1

  func encoded() -> [UInt8] {
    var map: [String: Value] = [
      "v": .int(Self.version), "session": .string(session.value), "phase": .string(phase.rawValue),
      "held": .bool(isHeld), "exchange": exchange.value,
    ]
    if let dialog { map["dialog"] = dialog.value }
    var bytes: [UInt8] = []
    JSON.write(.map(map), to: &bytes)
    return bytes
  }

  /// - Throws: where the bytes are damaged, of another version, or of another call.
  init(_ bytes: [UInt8], of session: SessionID) throws(CallStateError) {
    guard bytes.count <= CallState.byteLimit else {
      throw CallStateError("the kept state has \(bytes.count) bytes, more than \(CallState.byteLimit)")
    }
    let value: Value
    do { value = try JSON.decode(bytes, refusingDuplicates: true) } catch {
      throw CallStateError("the kept state is damaged: \(error)")
    }
    do throws(ValueFields.Fault) {
      let fields = try ValueFields(value, "state")
      try fields.expect(version: Self.version)
      self.session = SessionID(try fields.text("session", limit: 64))
      phase = try fields.choice("phase", Phase.self)
      isHeld = try fields.flag("held")
      exchange = try OfferAnswer(restoring: value["exchange"] ?? .null)
      dialog = fields.has("dialog") ? try SIPDialogState(value["dialog"] ?? .null) : nil
    } catch {
      throw CallStateError("the kept state cannot be gone on from: \(error)")
    }
    guard self.session == session else {
      throw CallStateError("the kept state is that of another call, \(self.session)")
    }
    guard phase == .offered || dialog != nil else {
      throw CallStateError("the kept state of an answered call has no dialog")
    }
  }
}
