import Foundation

/// One figure, beside a peer's of the same run and the bar it must hold.
struct Row {
  var metric: String
  var unit: String
  var value: Double
  var peer: String?
  var peerValue: Double?
  /// At most (or at least) this; nil: reported only.
  var bar: Bar?
  /// The size of the work: `100 calls`.
  var at: String

  enum Bar {
    case atMost(Double)
    case atLeast(Double)
  }

  var ratio: Double? { peerValue.map { $0 == 0 ? 0 : value / $0 } }

  var holds: Bool? {
    switch bar {
    case .atMost(let limit): value <= limit
    case .atLeast(let limit): value >= limit
    case nil: nil
    }
  }

  var object: [String: Any] {
    let limit: Double? =
      switch bar {
      case .atMost(let limit), .atLeast(let limit): limit
      case nil: nil
      }
    return [
      "metric": metric, "unit": unit, "value": rounded(value), "peer": peer ?? NSNull(),
      "peer_value": peerValue.map(rounded) ?? NSNull(), "ratio": ratio.map(rounded) ?? NSNull(),
      "bar": limit ?? NSNull(),
      "holds": holds ?? NSNull(), "at": at,
    ]
  }
}

func rounded(_ value: Double) -> Double { (value * 1000).rounded() / 1000 }

/// Everything one benchmark found; written to bench-results/ and printed as a table.
struct Report {
  var name: String
  var rows: [Row] = []

  mutating func add(_ row: Row) {
    rows.append(row)
    print(line(row))
    fflush(nil)
  }

  func write() throws {
    let folder = URL(fileURLWithPath: Tools.root).appendingPathComponent("bench-results")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let object: [String: Any] = ["name": name, "machine": Self.machine, "rows": rows.map(\.object)]
    let data = try JSONSerialization.data(withJSONObject: object, options: [.prettyPrinted, .sortedKeys])
    try data.write(to: folder.appendingPathComponent("\(name).json"))
  }

  static func header() -> String {
    "metric".padded(54) + "value".padded(16) + "peer".padded(26) + "bar".padded(10) + "at"
  }

  private func line(_ row: Row) -> String {
    let bar: String =
      switch row.bar {
      case .atMost(let limit): "<= \(trimmed(limit)) " + (row.holds == true ? "ok" : "MISSED")
      case .atLeast(let limit): ">= \(trimmed(limit)) " + (row.holds == true ? "ok" : "MISSED")
      case nil: ""
      }
    let peer = row.peerValue.map { "\(row.peer ?? "") \(trimmed($0)) (x\(trimmed(row.ratio ?? 0)))" } ?? ""
    return row.metric.padded(54) + "\(trimmed(row.value)) \(row.unit)".padded(16) + peer.padded(26) + bar.padded(10)
      + " " + row.at
  }

  private func trimmed(_ value: Double) -> String {
    value >= 100 ? "\(Int(value.rounded()))" : "\((value * 100).rounded() / 100)"
  }

  /// Processor, cores and memory, as the kernel names them.
  static var machine: String {
    let cpu = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    let model = cpu.split(separator: "\n").first { $0.hasPrefix("model name") }?.split(separator: ":").last ?? "unknown"
    let memory = Double(ProcessInfo.processInfo.physicalMemory) / 1_073_741_824
    return
      "\(model.trimmingCharacters(in: .whitespaces)), \(ProcessInfo.processInfo.activeProcessorCount) cores, \(Int(memory.rounded())) GiB"
  }
}

extension String {
  func padded(_ width: Int) -> String {
    count >= width ? self + " " : self + String(repeating: " ", count: width - count)
  }
}

/// - Parameter values: in any order.
func percentile(_ values: [Double], _ q: Double) -> Double {
  let sorted = values.sorted()
  guard !sorted.isEmpty else { return .nan }
  return sorted[min(sorted.count - 1, Int(q * Double(sorted.count)))]
}
