import Base

/// Durations as people write them in configuration and dialogs: `250ms`, `10s`, `5m`, `2h`, `30d`.
public enum DurationText {
  private static let units: [(suffix: String, milliseconds: Int64)] = [
    ("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
  ]

  /// nil for anything but digits and a unit, or for more than a century.
  public static func read(_ text: String) -> Duration? {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard let number = Int64(digits), let unit = units.first(where: { $0.suffix == text.dropFirst(digits.count) })
    else { return nil }
    let (milliseconds, overflow) = number.multipliedReportingOverflow(by: unit.milliseconds)
    guard !overflow, milliseconds <= 100 * 365 * 86_400_000 else { return nil }
    return .milliseconds(milliseconds)
  }

  /// The shortest text that reads as `duration`, to the millisecond.
  public static func write(_ duration: Duration) -> String {
    let milliseconds = duration.milliseconds
    if milliseconds == 0 { return "0s" }
    for unit in units.reversed() where milliseconds % unit.milliseconds == 0 && unit.suffix != "d" {
      // 90 s stays 90 s and 60 s becomes 1 m; hours only where nothing is lost.
      return "\(milliseconds / unit.milliseconds)\(unit.suffix)"
    }
    return "\(milliseconds)ms"
  }
}
