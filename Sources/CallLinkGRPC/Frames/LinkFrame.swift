#if Cluster
  import Base
  import CallLink
  import FoundationEssentials
  import SwiftProtobuf

  /// A frame of a stream as protobuf writes it: what both ends of both hops have in common.
  protocol LinkFrame: SwiftProtobuf.Message, Sendable {
    /// The call's own messages in this direction.
    associatedtype Content: Sendable

    init(_ message: Content)
    /// nil: not a message, or one of a newer version.
    var content: Content? { get }
    var sequence: UInt64 { get set }
    var control: Parley_Calllink_V1_Control { get set }
    var isControl: Bool { get }
    /// Voice; nil where there is none, or where the direction has none.
    var hopSound: HopSound? { get set }
  }

  /// What a frame is.
  enum LinkPart<Content: Sendable>: Sendable {
    case open(HopOpen, CallInfo)
    case frame(HopFrame<Content>)
    case sound(HopSound)
    /// A frame of a newer minor version: to be left out.
    case unknown
  }

  extension LinkFrame {
    init(_ frame: HopFrame<Content>, call: CallInfo?) {
      switch frame {
      case .message(let message):
        self.init(message.message)
        sequence = message.sequence
      case .open(let open): self.init(control: .with { $0.open = .init(open, call) })
      case .opened(let opened): self.init(control: .with { $0.opened = .init(opened) })
      case .ack(let through, let mayReach):
        self.init(
          control: .with {
            $0.ack = .with {
              $0.through = through
              $0.mayReach = mayReach
            }
          })
      case .keep(let memory): self.init(control: .with { $0.keep = .init(memory) })
      case .kept(let id): self.init(control: .with { $0.kept = .init(id) })
      case .ping: self.init(control: .with { $0.ping = .init() })
      case .pong: self.init(control: .with { $0.pong = .init() })
      case .leave: self.init(control: .with { $0.leave = .init() })
      case .close(let close): self.init(control: .with { $0.close = .init(close) })
      }
    }

    init(control: Parley_Calllink_V1_Control) {
      self.init()
      self.control = control
    }

    init(sound: HopSound) {
      self.init()
      hopSound = sound
    }

    var part: LinkPart<Content> {
      if let hopSound { return .sound(hopSound) }
      guard isControl else {
        return content.map { .frame(.message(Numbered(sequence, $0))) } ?? .unknown
      }
      switch control.frame {
      case .open(let open): return .open(HopOpen(open), CallInfo(open))
      case .opened(let opened): return .frame(.opened(HopOpened(opened)))
      case .ack(let ack): return .frame(.ack(through: ack.through, mayReach: ack.mayReach))
      case .keep(let memory): return .frame(.keep(HopMemory(memory)))
      case .kept(let id): return .frame(.kept(HopMemory.ID(id)))
      case .ping: return .frame(.ping)
      case .pong: return .frame(.pong)
      case .leave: return .frame(.leave)
      case .close(let close): return .frame(.close(HopClose(close)))
      case nil: return .unknown
      }
    }
  }

  // MARK: Control

  extension Parley_Calllink_V1_Version {
    init(_ version: HopVersion) {
      self.init()
      major = UInt32(version.major)
      minor = UInt32(version.minor)
    }
  }

  extension HopVersion {
    init(_ version: Parley_Calllink_V1_Version) {
      self.init(major: UInt16(clamping: version.major), minor: UInt16(clamping: version.minor))
    }
  }

  extension Parley_Calllink_V1_Party {
    init(_ party: HopParty) {
      self.init()
      instance = party.instance
      fence = party.fence
    }
  }

  extension HopParty {
    init(_ party: Parley_Calllink_V1_Party) { self.init(instance: party.instance, fence: party.fence) }
  }

  extension Parley_Calllink_V1_Place {
    init(_ place: HopPlace) {
      self.init()
      received = place.received
      oldest = place.oldest
      next = place.next
      mayReach = place.mayReach
    }
  }

  extension HopPlace {
    init(_ place: Parley_Calllink_V1_Place) {
      self.init(received: place.received, oldest: place.oldest, next: place.next, mayReach: place.mayReach)
    }
  }

  extension Parley_Calllink_V1_MemoryID {
    init(_ id: HopMemory.ID) {
      self.init()
      fence = id.fence
      number = id.number
    }
  }

  extension HopMemory.ID {
    init(_ id: Parley_Calllink_V1_MemoryID) { self.init(fence: id.fence, number: id.number) }
  }

  extension Parley_Calllink_V1_Memory {
    init(_ memory: HopMemory) {
      self.init()
      id = .init(memory.id)
      content = .init(memory.bytes)
    }
  }

  extension HopMemory {
    init(_ memory: Parley_Calllink_V1_Memory) { self.init(id: HopMemory.ID(memory.id), bytes: Array(memory.content)) }
  }

  extension Parley_Calllink_V1_Open {
    init(_ open: HopOpen, _ call: CallInfo?) {
      self.init()
      version = .init(open.version)
      session = open.session.value
      from = .init(open.from)
      if let party = open.replaces { replaces = .init(party) }
      if let here = open.place { place = .init(here) }
      if let kept = open.memory { memory = .init(kept) }
      if let call { self.call = .init(call) }
    }
  }

  extension HopOpen {
    init(_ open: Parley_Calllink_V1_Open) {
      self.init(
        version: HopVersion(open.version), session: SessionID(open.session), from: HopParty(open.from),
        replaces: open.hasReplaces ? HopParty(open.replaces) : nil, place: open.hasPlace ? HopPlace(open.place) : nil,
        memory: open.hasMemory ? HopMemory(open.memory) : nil)
    }
  }

  extension Parley_Calllink_V1_Opened {
    init(_ opened: HopOpened) {
      self.init()
      version = .init(opened.version)
      from = .init(opened.from)
      if let here = opened.place { place = .init(here) }
    }
  }

  extension HopOpened {
    init(_ opened: Parley_Calllink_V1_Opened) {
      self.init(
        version: HopVersion(opened.version), from: HopParty(opened.from),
        place: opened.hasPlace ? HopPlace(opened.place) : nil)
    }
  }

  extension Parley_Calllink_V1_Close {
    init(_ close: HopClose) {
      self.init()
      reason = close.reason.rawValue
      message = close.message
      if let party = close.holder { holder = .init(party) }
    }
  }

  extension HopClose {
    init(_ close: Parley_Calllink_V1_Close) {
      // A reason of a newer version: look elsewhere.
      self.init(
        Reason(rawValue: close.reason) ?? .unavailable, holder: close.hasHolder ? HopParty(close.holder) : nil,
        message: close.message)
    }
  }

  extension Parley_Calllink_V1_CallInfo {
    init(_ info: CallInfo) {
      self.init()
      direction = info.direction.rawValue
      callerID = info.callerID
      calledNumber = info.calledNumber
      fromUri = info.fromURI
      toUri = info.toURI
      if let trunk = info.trunk { self.trunk = trunk }
      headers = info.headers.map { header in
        .with {
          $0.name = header.name
          $0.value = header.value
        }
      }
      source = info.source
    }
  }

  extension CallInfo {
    init(_ open: Parley_Calllink_V1_Open) { self.init(open.call, session: SessionID(open.session)) }

    init(_ info: Parley_Calllink_V1_CallInfo, session: SessionID) {
      self.init(
        session: session, direction: Direction(rawValue: info.direction) ?? .inbound, callerID: info.callerID,
        calledNumber: info.calledNumber, fromURI: info.fromUri, toURI: info.toUri,
        trunk: info.hasTrunk ? info.trunk : nil, headers: info.headers.map { ($0.name, $0.value) },
        source: info.source)
    }
  }

  // MARK: Voice

  extension Parley_Calllink_V1_Sound {
    init(lane: UInt64, position: Int64, _ samples: [Int16]) {
      self.init()
      self.lane = lane
      self.position = position
      pcm = samples.withUnsafeBytes { .init($0) }
    }
  }

  extension HopSound {
    /// Bytes of PCM that one frame may have: two seconds.
    static let byteLimit = 65_536

    init?(_ sound: Parley_Calllink_V1_Sound) {
      guard sound.pcm.count <= Self.byteLimit else { return nil }
      let samples = [Int16](unsafeUninitializedCapacity: sound.pcm.count / 2) { buffer, count in
        count = sound.pcm.copyBytes(to: UnsafeMutableRawBufferPointer(buffer)) / 2
      }
      self = .samples(lane: sound.lane, position: sound.position, samples)
    }

    init(_ heard: Parley_Calllink_V1_Heard) {
      self = .heard(lane: heard.lane, through: heard.through, mayReach: heard.mayReach)
    }
  }

  extension Parley_Calllink_V1_Heard {
    init(lane: UInt64, through: Int64, mayReach: Int64) {
      self.init()
      self.lane = lane
      self.through = through
      self.mayReach = mayReach
    }
  }
#endif
