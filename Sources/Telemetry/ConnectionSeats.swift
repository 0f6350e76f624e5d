/// The open connections of a server that has room for a few. Who comes when it is full takes the place of the one that has asked
/// for nothing for the longest time: connections that are only held open must not lock out the probe that decides over the pod.
/// Pure.
package struct ConnectionSeats<Connection> {
  private let limit: Int
  private var seats: [Int: (connection: Connection, lastUse: Int)] = [:]
  private var uses = 0
  private var names = 0

  package init(limit: Int) { self.limit = limit }

  package var count: Int { seats.count }

  /// - Returns: the name of the new connection's seat, and whom to close for it.
  package mutating func take(_ connection: Connection) -> (seat: Int, evicted: Connection?) {
    var evicted: Connection?
    if seats.count >= limit, let idlest = seats.min(by: { $0.value.lastUse < $1.value.lastUse }) {
      evicted = idlest.value.connection
      seats[idlest.key] = nil
    }
    names += 1
    uses += 1
    seats[names] = (connection, uses)
    return (names, evicted)
  }

  /// A whole request has come.
  package mutating func used(_ seat: Int) {
    uses += 1
    seats[seat]?.lastUse = uses
  }

  package mutating func leave(_ seat: Int) { seats[seat] = nil }
}

extension ConnectionSeats: Sendable where Connection: Sendable {}
