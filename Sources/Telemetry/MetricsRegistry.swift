import NIOConcurrencyHelpers
import Synchronization

/// Holds every metric of the process and writes them as Prometheus reads them. Registering takes a lock; counting does not,
/// once the counter is at hand. Safe to use from any thread.
public final class MetricsRegistry: Sendable {
  /// More series than this in one family are counted under `other`: a label value that somebody else chooses must not fill
  /// the memory, here or in Prometheus.
  public static let seriesLimit = 200
  /// What the label values of the series over the limit become.
  public static let overflowLabel = "other"

  private let families = NIOLockedValueBox<[any MetricFamily]>([])

  public init() {}

  /// A number that only rises.
  public func counter(_ name: String, _ help: String, labels: [String] = []) -> CounterFamily {
    register(CounterFamily(name: name, help: help, labels: labels))
  }

  /// A number that rises and falls.
  public func gauge(_ name: String, _ help: String, labels: [String] = []) -> GaugeFamily {
    register(GaugeFamily(name: name, help: help, labels: labels))
  }

  /// A number that is asked for when somebody reads the metrics. `read` must return at once.
  public func gauge(_ name: String, _ help: String, read: @escaping @Sendable () -> Double) {
    register(ReadGauge(name: name, help: help, read: read))
  }

  /// How often values fell below each of `buckets` (ascending upper bounds), and their sum.
  public func histogram(_ name: String, _ help: String, labels: [String] = [], buckets: [Double]) -> HistogramFamily {
    register(HistogramFamily(name: name, help: help, labels: labels, buckets: buckets))
  }

  /// The Prometheus text format, version 0.0.4, families in the order of their names.
  public func exposition() -> String {
    var out = ""
    let families = families.withLockedValue { $0 }
    for family in families.sorted(by: { $0.name < $1.name }) {
      out += "# HELP \(family.name) \(escape(family.help, quotes: false))\n# TYPE \(family.name) \(family.kind)\n"
      family.write(to: &out)
    }
    return out
  }

  @discardableResult
  private func register<F: MetricFamily>(_ family: F) -> F {
    families.withLockedValue { families in
      precondition(!families.contains { $0.name == family.name }, "the metric \(family.name) is declared twice")
      families.append(family)
    }
    return family
  }
}

/// All series of one metric.
protocol MetricFamily: Sendable {
  var name: String { get }
  var help: String { get }
  var kind: String { get }
  func write(to out: inout String)
}

/// The series of one family by their label values.
final class SeriesTable<Series: Sendable>: Sendable {
  let labels: [String]
  private let make: @Sendable () -> Series
  private let table: NIOLockedValueBox<[[String]: Series]>

  init(labels: [String], make: @escaping @Sendable () -> Series) {
    self.labels = labels
    self.make = make
    // A metric without labels exists from the start, at zero.
    table = NIOLockedValueBox(labels.isEmpty ? [[]: make()] : [:])
  }

  func series(_ values: [String]) -> Series {
    precondition(values.count == labels.count, "a series needs a value for each of \(labels)")
    return table.withLockedValue { table in
      if let series = table[values] { return series }
      let key =
        table.count < MetricsRegistry.seriesLimit
        ? values : [String](repeating: MetricsRegistry.overflowLabel, count: values.count)
      if let series = table[key] { return series }
      let series = make()
      table[key] = series
      return series
    }
  }

  func all() -> [(labels: [String], series: Series)] {
    table.withLockedValue { $0.map { ($0.key, $0.value) } }.sorted { $0.0.lexicographicallyPrecedes($1.0) }
  }

  func text(_ values: [String], extra: (String, String)? = nil) -> String {
    var pairs = zip(labels, values).map { "\($0)=\"\(escape($1, quotes: true))\"" }
    if let extra { pairs.append("\(extra.0)=\"\(extra.1)\"") }
    return pairs.isEmpty ? "" : "{" + pairs.joined(separator: ",") + "}"
  }
}

// MARK: Counters

/// One counter. Adding is one atomic instruction.
public final class Counter: Sendable {
  private let value = Atomic<UInt64>(0)
  init() {}

  /// Adds `count`, which must not be negative.
  public func add(_ count: Int = 1) {
    guard count > 0 else { return }
    value.wrappingAdd(UInt64(count), ordering: .relaxed)
  }

  /// The count so far.
  public var count: UInt64 { value.load(ordering: .relaxed) }
}

/// The counters of one name.
public final class CounterFamily: MetricFamily {
  let name: String, help: String
  let kind = "counter"
  private let table: SeriesTable<Counter>

  init(name: String, help: String, labels: [String]) {
    self.name = name
    self.help = help
    table = SeriesTable(labels: labels) { Counter() }
  }

  /// The counter with these label values, in the order the labels were declared in. Keep it where it is used often.
  public func with(_ values: String...) -> Counter { table.series(values) }

  /// Adds to the only counter of a family without labels.
  public func add(_ count: Int = 1) { table.series([]).add(count) }

  func write(to out: inout String) {
    for (values, counter) in table.all() { out += "\(name)\(table.text(values)) \(counter.count)\n" }
  }
}

// MARK: Gauges

/// One gauge. Setting is one atomic instruction.
public final class Gauge: Sendable {
  private let bits = Atomic<UInt64>(0)
  init() {}

  public func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }

  public func set(_ value: Int) { set(Double(value)) }

  /// Adds `change`, which may be negative.
  public func add(_ change: Double) {
    var old = bits.load(ordering: .relaxed)
    while true {
      let new = (Double(bitPattern: old) + change).bitPattern
      let result = bits.weakCompareExchange(expected: old, desired: new, ordering: .relaxed)
      if result.exchanged { return }
      old = result.original
    }
  }

  public var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}

/// The gauges of one name.
public final class GaugeFamily: MetricFamily {
  let name: String, help: String
  let kind = "gauge"
  private let table: SeriesTable<Gauge>

  init(name: String, help: String, labels: [String]) {
    self.name = name
    self.help = help
    table = SeriesTable(labels: labels) { Gauge() }
  }

  /// The gauge with these label values, in the order the labels were declared in.
  public func with(_ values: String...) -> Gauge { table.series(values) }

  /// Sets the only gauge of a family without labels.
  public func set(_ value: Double) { table.series([]).set(value) }
  public func set(_ value: Int) { table.series([]).set(value) }
  public func add(_ change: Double) { table.series([]).add(change) }

  func write(to out: inout String) {
    for (values, gauge) in table.all() { out += "\(name)\(table.text(values)) \(number(gauge.value))\n" }
  }
}

/// A gauge without labels that is read when it is shown.
final class ReadGauge: MetricFamily {
  let name: String, help: String
  let kind = "gauge"
  private let read: @Sendable () -> Double

  init(name: String, help: String, read: @escaping @Sendable () -> Double) {
    self.name = name
    self.help = help
    self.read = read
  }

  func write(to out: inout String) { out += "\(name) \(number(read()))\n" }
}

// MARK: Histograms

/// One histogram. Observing is a search in a short list and two atomic additions.
public final class Histogram: Sendable {
  let buckets: [Double]
  private let cells: [Cell]
  private let total = Gauge()

  private final class Cell: Sendable { let count = Atomic<UInt64>(0) }

  init(buckets: [Double]) {
    self.buckets = buckets
    cells = (0...buckets.count).map { _ in Cell() }
  }

  /// Takes one value; what is not a finite number is left out.
  public func observe(_ value: Double) {
    guard value.isFinite else { return }
    let at = buckets.firstIndex { value <= $0 } ?? buckets.count
    cells[at].count.wrappingAdd(1, ordering: .relaxed)
    total.add(value)
  }

  /// Takes one duration, in seconds.
  public func observe(_ value: Duration) {
    let (seconds, attoseconds) = value.components
    observe(Double(seconds) + Double(attoseconds) / 1e18)
  }

  /// Values at or below each bound, then all of them.
  var cumulative: [UInt64] {
    var sum: UInt64 = 0
    return cells.map {
      sum += $0.count.load(ordering: .relaxed)
      return sum
    }
  }
  /// How many values were taken, and their sum.
  public var count: UInt64 { cumulative.last ?? 0 }
  public var sum: Double { total.value }
}

/// The histograms of one name.
public final class HistogramFamily: MetricFamily {
  let name: String, help: String
  let kind = "histogram"
  private let table: SeriesTable<Histogram>

  init(name: String, help: String, labels: [String], buckets: [Double]) {
    precondition(buckets == buckets.sorted() && !labels.contains("le"), "the buckets of \(name) must rise")
    self.name = name
    self.help = help
    table = SeriesTable(labels: labels) { Histogram(buckets: buckets) }
  }

  /// The histogram with these label values, in the order the labels were declared in.
  public func with(_ values: String...) -> Histogram { table.series(values) }

  /// Observes in the only histogram of a family without labels.
  public func observe(_ value: Double) { table.series([]).observe(value) }
  public func observe(_ value: Duration) { table.series([]).observe(value) }

  func write(to out: inout String) {
    for (values, histogram) in table.all() {
      // Read once, so that the buckets and the count of one answer agree.
      let cumulative = histogram.cumulative
      for (bound, count) in zip(histogram.buckets.map(number) + ["+Inf"], cumulative) {
        out += "\(name)_bucket\(table.text(values, extra: ("le", bound))) \(count)\n"
      }
      out += "\(name)_sum\(table.text(values)) \(number(histogram.sum))\n"
      out += "\(name)_count\(table.text(values)) \(cumulative.last ?? 0)\n"
    }
  }
}

// MARK: Text

private func number(_ value: Double) -> String {
  if value.isNaN { return "NaN" }
  if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
  return Int64(exactly: value).map { String($0) } ?? "\(value)"
}

private func escape(_ text: String, quotes: Bool) -> String {
  var out = ""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\\": out += "\\\\"
    case "\n": out += "\\n"
    case "\"" where quotes: out += "\\\""
    default: out.unicodeScalars.append(scalar)
    }
  }
  return out
}
