import Base
import Dialogs
import Settings
import Telemetry

/// What the runtime role is told at its start: the `runtime` section of the configuration file, in its own types.
public struct RuntimeConfiguration: Sendable {
  /// `runtime.max_concurrent_calls`: above it a call is refused as busy.
  public var maxConcurrentCalls = 100
  /// `runtime.default_timeout`: how long a state waits for the caller where the dialog does not say.
  public var defaultTimeout: Duration = .seconds(10)
  /// `runtime.max_dialog_depth`: transitions without input that a dialog may chain.
  public var maxDialogDepth = 50
  /// `runtime.barge_in`: whether the caller may interrupt prompts where the dialog does not say.
  public var bargeIn = true
  /// How long the speech role may take to report the end of a call that was told to hang up at once.
  public var hangupLimit: Duration = .seconds(10)
  /// The same for a call that is hung up after its prompts.
  public var hangupAfterPlaybackLimit: Duration = .seconds(600)
  /// How long a language model may take to look at a call that is over.
  public var reviewLimit: Duration = .seconds(60)
  /// How long a call may ring while services are told of its start; their own timeouts are shorter, mostly.
  public var startHooksLimit: Duration = .seconds(10)
  /// How long hooks that the dialog started because the call ended are waited for.
  public var lastHooksLimit: Duration = .seconds(30)

  /// `security.pii.redact`: what is kept out of records and log lines.
  public var redactor = Redactor([])

  public init() {}

  var dialogLimits: DialogLimits { DialogLimits(timeout: defaultTimeout, maxDepth: maxDialogDepth, bargeIn: bargeIn) }

  /// The configuration file's section.
  public init(_ settings: RuntimeSettings) {
    maxConcurrentCalls = settings.maxConcurrentCalls
    defaultTimeout = settings.defaultTimeout
    maxDialogDepth = settings.maxDialogDepth
    bargeIn = settings.bargeIn
  }
}

/// Where the runtime role counts. Every closure may be called on any thread and must not block; the defaults do nothing.
public struct RuntimeMetrics: Sendable {
  /// `vg_calls_active{dialog}`: the number of live calls of a dialog.
  public var callsActive: @Sendable (_ dialog: String, _ calls: Int) -> Void = { _, _ in }
  /// `vg_calls_total{dialog,status}`: one call is over; `status` is a ``CallDisposition``.
  public var callEnded: @Sendable (_ dialog: String, _ status: String) -> Void = { _, _ in }
  /// `vg_call_duration_seconds{dialog}`: from the answer to the end; calls that were not answered do not count.
  public var callDuration: @Sendable (_ dialog: String, _ seconds: Double) -> Void = { _, _ in }
  /// `vg_call_state_transitions_total{dialog,from,to}`.
  public var stateTransition: @Sendable (_ dialog: String, _ from: String, _ to: String) -> Void = { _, _, _ in }
  /// `vg_turn_latency_seconds{stage}`: endpoint, recognize, think, synthesize, total; `trace` is the call's, where it has one.
  public var turnLatency: @Sendable (_ stage: String, _ seconds: Double, _ trace: String?) -> Void = { _, _, _ in }
  /// `vg_llm_first_token_seconds{model}`: from a request to a language model to its first word.
  public var modelFirstToken: @Sendable (_ model: String, _ seconds: Double) -> Void = { _, _ in }
  /// `vg_llm_requests_total{model,outcome}`: ok, cancelled, timeout, unreachable, status, invalid_answer or empty.
  public var modelRequest: @Sendable (_ model: String, _ outcome: String) -> Void = { _, _ in }

  /// `vg_sessions_resumed_total{role="runtime",outcome}`: a session was taken over from another process (`resumed`), or could
  /// not be gone on with (`failed`).
  public var sessionResumed: @Sendable (_ outcome: String) -> Void = { _ in }

  public init() {}

  /// Counts in the process's metrics.
  public init(_ metrics: VoiceMetrics) {
    callsActive = { metrics.callsActive.with($0).set($1) }
    callEnded = { metrics.callsTotal.with($0, $1).add() }
    callDuration = { metrics.callDuration.with($0).observe($1) }
    stateTransition = { metrics.callStateTransitions.with($0, $1, $2).add() }
    turnLatency = { metrics.turnLatency.with($0).observe($1, trace: $2) }
    sessionResumed = { metrics.sessionsResumed.with("runtime", $0).add() }
    modelFirstToken = { metrics.llmFirstToken.with($0).observe($1) }
    modelRequest = { metrics.llmRequests.with($0, $1).add() }
  }
}
