import Base

// What two ends of one call's hop say to each other over a transport. docs/decisions/2026-11-22-hops.md tells why.

/// The version of a hop's protocol. Ends that are one minor version apart understand each other, so that a cluster can
/// be upgraded, and rolled back, pod by pod.
public struct HopVersion: Sendable, Hashable, CustomStringConvertible {
  public var major: UInt16
  public var minor: UInt16

  public static let current = HopVersion(major: 1, minor: 0)

  public init(major: UInt16, minor: UInt16) {
    self.major = major
    self.minor = minor
  }

  /// What both then speak: the older of the two; nil where they do not understand each other.
  public func agreed(with other: HopVersion) -> HopVersion? {
    guard major == other.major, abs(Int(minor) - Int(other.minor)) <= 1 else { return nil }
    return minor <= other.minor ? self : other
  }

  public var description: String { "\(major).\(minor)" }
}

/// Who owns one side of a call's hop.
public struct HopParty: Sendable, Hashable, CustomStringConvertible {
  /// Names one run of one process: another after a restart, so that whoever has the same name has the same memory.
  public var instance: String
  /// The fencing token under which it owns the call: whoever comes later has a higher one.
  public var fence: UInt64

  public init(instance: String, fence: UInt64) {
    self.instance = instance
    self.fence = fence
  }

  public var description: String { "\(instance)#\(fence)" }
}

/// How far one end has come. Messages of one direction are counted from 1.
public struct HopPlace: Sendable, Hashable {
  /// Everything through this number has arrived.
  public var received: UInt64
  /// The first of its own messages that it can still repeat; `next` where there is none.
  public var oldest: UInt64
  /// The number of the message that it will make next.
  public var next: UInt64
  /// The highest number that the other end may send.
  public var mayReach: UInt64

  public init(received: UInt64, oldest: UInt64, next: UInt64, mayReach: UInt64) {
    self.received = received
    self.oldest = oldest
    self.next = next
    self.mayReach = mayReach
  }

  /// Far more messages than a call can make, and far from where counting would overflow.
  static let limit: UInt64 = 1 << 48

  var isSound: Bool {
    oldest >= 1 && oldest <= next && received < Self.limit && next < Self.limit && mayReach < 2 * Self.limit
  }
}

/// What an end asks its neighbour to keep for its successor: opaque bytes.
public struct HopMemory: Sendable, Hashable {
  public struct ID: Sendable, Hashable, Comparable {
    /// Of the owner that gave it.
    public var fence: UInt64
    /// Counts what this owner gave, from 1.
    public var number: UInt64

    public init(fence: UInt64, number: UInt64) {
      self.fence = fence
      self.number = number
    }

    static let none = ID(fence: 0, number: 0)

    public static func < (a: ID, b: ID) -> Bool { (a.fence, a.number) < (b.fence, b.number) }
  }
  public var id: ID
  public var bytes: [UInt8]

  /// Room for a service's state (``CallState/byteLimit``) and the messages that wait with it.
  public static let byteLimit = 640 << 10

  public init(id: ID, bytes: [UInt8]) {
    self.id = id
    self.bytes = bytes
  }
}

/// The first frame on a transport, from the end that dialled.
public struct HopOpen: Sendable, Hashable {
  public var version: HopVersion
  public var session: SessionID
  public var from: HopParty
  /// The newest owner of the answering side that the dialler knows; nil before the first. Whoever answers in its place
  /// may take the call from it: the dialler has left it.
  public var replaces: HopParty?
  /// nil: the dialler has lost its memory and takes up the numbers of the answer.
  public var place: HopPlace?
  /// What an owner of the answering side gave to keep; nil where none did.
  public var memory: HopMemory?

  public init(
    version: HopVersion, session: SessionID, from: HopParty, replaces: HopParty?, place: HopPlace?, memory: HopMemory?
  ) {
    self.version = version
    self.session = session
    self.from = from
    self.replaces = replaces
    self.place = place
    self.memory = memory
  }
}

/// The answer to ``HopOpen``.
public struct HopOpened: Sendable, Hashable {
  public var version: HopVersion
  public var from: HopParty
  /// nil: the answering end has lost its memory and takes up the dialler's numbers.
  public var place: HopPlace?

  public init(version: HopVersion, from: HopParty, place: HopPlace?) {
    self.version = version
    self.from = from
    self.place = place
  }
}

/// The last frame on a transport.
public struct HopClose: Sendable, Hashable {
  public enum Reason: String, Sendable, CaseIterable {
    /// Everything has been said; the call is over.
    case over
    /// The dialler goes on with another peer.
    case moved
    /// The other end's owner has been replaced by one with a higher fence.
    case stale
    /// What would have to be repeated is no longer there.
    case tooOld = "too_old"
    /// The ends remember different calls.
    case diverged
    /// The versions do not understand each other.
    case version
    /// Somebody else owns the call: ``HopClose/holder``.
    case heldElsewhere = "held_elsewhere"
    /// No room, or on the way out: try another peer.
    case busy, draining, unavailable
    /// The other end broke the rules of the protocol.
    case violation
    /// The call cannot go on beyond this end, with whomever: ``HopClose/message`` says why.
    case failed
  }
  public var reason: Reason
  /// With ``Reason/heldElsewhere``: who.
  public var holder: HopParty?
  /// One sentence for a person; may be empty.
  public var message: String

  public init(_ reason: Reason, holder: HopParty? = nil, message: String = "") {
    self.reason = reason
    self.holder = holder
    self.message = message
  }
}

/// What travels on a transport, each way, in order.
public enum HopFrame<Message: Sendable>: Sendable {
  case open(HopOpen)
  case opened(HopOpened)
  case message(Numbered<Message>)
  /// The sender of this frame will never need the messages through this number again. Messages through `mayReach` may
  /// come.
  case ack(through: UInt64, mayReach: UInt64)
  /// From the answering end: to be handed to its successor.
  case keep(HopMemory)
  /// From the dialler: the memory is kept.
  case kept(HopMemory.ID)
  case ping
  case pong
  /// The answering end asks to be left: its process is on the way out.
  case leave
  case close(HopClose)
}

extension HopFrame: Equatable where Message: Equatable {}
extension HopFrame: Hashable where Message: Hashable {}
