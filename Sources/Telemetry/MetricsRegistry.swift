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

  /// All metrics as text, families in the order of their names.
  public func exposition(_ format: ExpositionFormat = .prometheus) -> String {
    var out = Exposition(format)
    let families = families.withLockedValue { $0 }
    for family in families.sorted(by: { $0.name < $1.name }) {
      out.begin(family.name, family.kind, family.help)
      family.write(to: &out)
    }
    return out.finish()
  }

  /// Every metric there is, in the order of their names: what documents and dashboards are checked against.
  public var descriptions: [MetricDescription] {
    families.withLockedValue { $0 }.map {
      MetricDescription(name: $0.name, kind: $0.kind.rawValue, labels: $0.labels, help: $0.help)
    }.sorted { $0.name < $1.name }
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

/// What one metric is.
public struct MetricDescription: Sendable, Hashable {
  public var name: String
  /// `counter`, `gauge` or `histogram`.
  public var kind: String
  public var labels: [String]
  public var help: String
}

enum MetricKind: String { case counter, gauge, histogram }

/// All series of one metric.
protocol MetricFamily: Sendable {
  var name: String { get }
  var help: String { get }
  var kind: MetricKind { get }
  var labels: [String] { get }
  func write(to out: inout Exposition)
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
  let kind = MetricKind.counter
  var labels: [String] { table.labels }
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

  func write(to out: inout Exposition) {
    for (values, counter) in table.all() { out.sample(name, labels, values, Double(counter.count)) }
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
  let kind = MetricKind.gauge
  var labels: [String] { table.labels }
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

  func write(to out: inout Exposition) {
    for (values, gauge) in table.all() { out.sample(name, labels, values, gauge.value) }
  }
}

/// A gauge without labels that is read when it is shown.
final class ReadGauge: MetricFamily {
  let name: String, help: String
  let kind = MetricKind.gauge
  private let read: @Sendable () -> Double

  init(name: String, help: String, read: @escaping @Sendable () -> Double) {
    self.name = name
    self.help = help
    self.read = read
  }

  var labels: [String] { [] }

  func write(to out: inout Exposition) { out.sample(name, [], [], read()) }
}

// MARK: Histograms

/// One histogram. Observing is a search in a short list and two atomic additions; naming a trace beside it takes a lock.
public final class Histogram: Sendable {
  let buckets: [Double]
  private let cells: [Cell]
  private let total = Gauge()

  /// One value of a bucket and the trace in which it was measured (OpenMetrics 1.0, "Exemplars").
  struct Exemplar: Sendable {
    var trace: String
    var value: Double
    var unixMs: Int64
  }

  private final class Cell: Sendable {
    let count = Atomic<UInt64>(0)
    let exemplar = NIOLockedValueBox<Exemplar?>(nil)
  }

  init(buckets: [Double]) {
    self.buckets = buckets
    cells = (0...buckets.count).map { _ in Cell() }
  }

  /// Takes one value; what is not a finite number is left out.
  /// - Parameter trace: where it was measured, for whoever wants to look at such a one; the newest of each bucket is kept.
  public func observe(_ value: Double, trace: String? = nil) {
    guard value.isFinite else { return }
    let cell = cells[buckets.firstIndex { value <= $0 } ?? buckets.count]
    cell.count.wrappingAdd(1, ordering: .relaxed)
    total.add(value)
    guard let trace else { return }
    let exemplar = Exemplar(trace: trace, value: value, unixMs: WallClock.nowMilliseconds())
    cell.exemplar.withLockedValue { $0 = exemplar }
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
  /// One for each of ``cumulative``.
  var exemplars: [Exemplar?] { cells.map { $0.exemplar.withLockedValue { $0 } } }
  /// How many values were taken, and their sum.
  public var count: UInt64 { cumulative.last ?? 0 }
  public var sum: Double { total.value }
}

/// The histograms of one name.
public final class HistogramFamily: MetricFamily {
  let name: String, help: String
  let kind = MetricKind.histogram
  var labels: [String] { table.labels }
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

  func write(to out: inout Exposition) {
    for (values, histogram) in table.all() { out.histogram(name, labels, values, histogram) }
  }
}
