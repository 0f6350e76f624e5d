import Base
import Logging
import NIOConcurrencyHelpers
import Settings

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Where log lines go: stderr, one line each, as JSON for machines or text for people.
public enum LogOutput {
  /// Makes every `Logger` of the process write so. To be called once, before the first logger is made.
  /// - Parameter redact: personal data that no line holds.
  public static func bootstrap(_ settings: ObservabilitySettings.LogSettings, redact: [PersonalData] = []) {
    let level = Logger.Level(rawValue: settings.level.rawValue) ?? .info
    let format = settings.format
    // Ports, counts and sizes are long runs of digits, too; what somebody said is redacted where it is logged.
    let redactor = Redactor(redact.filter { $0 != .digits })
    LoggingSystem.bootstrap {
      LineLogHandler(label: $0, level: level, format: format, redactor: redactor, write: writeToStderr)
    }
  }

  /// One `write` per line, so that lines of several threads never mix.
  private static let writeToStderr: @Sendable ([UInt8]) -> Void = { bytes in
    var done = 0
    while done < bytes.count {
      let count = bytes[done...].withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
      // A log that nobody can read any more must not stop a call.
      guard count > 0 || (count < 0 && errno == EINTR) else { return }
      done += max(0, count)
    }
  }
}

/// One line per message: `time`, `level`, `message`, `label`, then the metadata, and `trace_id` where the session has a trace.
public struct LineLogHandler: LogHandler {
  public var logLevel: Logger.Level
  public var metadata: Logger.Metadata = [:]
  public var metadataProvider: Logger.MetadataProvider?
  private let label: String
  private let format: ObservabilitySettings.LogSettings.Format
  private let redactor: Redactor
  private let traces: TraceDirectory
  private let write: @Sendable ([UInt8]) -> Void

  /// - Parameters:
  ///   - traces: a line that names a `session_id` gets the `trace_id` that is known for it.
  ///   - write: takes one whole line with its newline; called on the thread that logs.
  public init(
    label: String, level: Logger.Level, format: ObservabilitySettings.LogSettings.Format,
    redactor: Redactor = Redactor([]), traces: TraceDirectory = .shared,
    write: @escaping @Sendable ([UInt8]) -> Void
  ) {
    self.traces = traces
    self.label = label
    logLevel = level
    self.format = format
    self.redactor = redactor
    self.write = write
  }

  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  public func log(event: LogEvent) {
    var all = metadata
    if let provided = metadataProvider?.get() { all.merge(provided) { _, new in new } }
    if let own = event.metadata { all.merge(own) { _, new in new } }
    if let error = event.error { all["error"] = "\(error)" }
    if all["trace_id"] == nil, let session = all["session_id"], let trace = traces.trace(of: session.description) {
      all["trace_id"] = .string(trace)
    }
    let time = Timestamp.text(unixMilliseconds: WallClock.nowMilliseconds())
    var line: [UInt8] = []
    switch format {
    case .json:
      var map: [String: Value] = [:]
      for (key, value) in all { map[key] = self.value(value) }
      map["time"] = .string(time)
      map["level"] = .string(event.level.rawValue)
      map["message"] = .string(redactor.redact(event.message.description))
      map["label"] = .string(label)
      JSON.write(.map(map), to: &line)
    case .text:
      line += Array("\(time) \(event.level.rawValue) \(redactor.redact(event.message.description))".utf8)
      for key in all.keys.sorted() {
        guard let value = all[key] else { continue }
        line += Array(" \(key)=".utf8)
        JSON.write(self.value(value), to: &line)
      }
      // A message never ends its line early: what it says could otherwise pass for another line.
      line = line.map { $0 == 0x0A || $0 == 0x0D ? 0x20 : $0 }
    }
    line.append(0x0A)
    write(line)
  }

  private func value(_ value: Logger.MetadataValue) -> Value {
    switch value {
    case .string(let text): .string(redactor.redact(text))
    case .stringConvertible(let other): .string(redactor.redact(other.description))
    case .dictionary(let map): .map(map.mapValues(self.value))
    case .array(let items): .list(items.map(self.value))
    }
  }
}
