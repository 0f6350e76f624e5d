import Base
import Glibc

/// Why a socket could not be opened.
public struct SocketError: Error, Sendable, CustomStringConvertible {
  public enum Code: String, Sendable { case inUse, badAddress, denied, tooManyFiles, other }
  public var code: Code
  /// One sentence that names the address and what the system said.
  public var description: String

  init(errno number: Int32, doing what: String, at address: String) {
    code =
      switch number {
      case EADDRINUSE: .inUse
      case EADDRNOTAVAIL, EINVAL, EAFNOSUPPORT: .badAddress
      case EACCES, EPERM: .denied
      case EMFILE, ENFILE: .tooManyFiles
      default: .other
      }
    description = "cannot \(what) \(address): \(String(cString: strerror(number)))"
  }

  init(badAddress host: String) {
    code = .badAddress
    description = "cannot open a UDP socket at \"\(host)\": not a numeric IP address"
  }
}

/// Room for datagrams that one event loop reads: allocated once, shared by all its sockets.
public final class DatagramBuffer {
  /// Larger datagrams are cut and reported as truncated: media packets fit an Ethernet frame of 1500 bytes.
  public static let datagramLimit = 2048
  static let controlSize = 64

  fileprivate let bytes = UnsafeMutableRawPointer.allocate(byteCount: DatagramBuffer.datagramLimit, alignment: 16)
  fileprivate let control = UnsafeMutableRawPointer.allocate(byteCount: DatagramBuffer.controlSize, alignment: 16)
  fileprivate let address = UnsafeMutablePointer<sockaddr_storage>.allocate(capacity: 1)
  fileprivate let vector = UnsafeMutablePointer<iovec>.allocate(capacity: 1)
  fileprivate let header = UnsafeMutablePointer<msghdr>.allocate(capacity: 1)

  public init() {
    address.initialize(to: sockaddr_storage())
    vector.initialize(to: iovec(iov_base: bytes, iov_len: Self.datagramLimit))
    header.initialize(to: msghdr())
  }

  deinit {
    bytes.deallocate()
    control.deallocate()
    address.deallocate()
    vector.deallocate()
    header.deallocate()
  }
}

/// One received datagram, valid only inside the handler it is given to.
public struct Datagram {
  public let bytes: UnsafeRawBufferPointer
  public let peer: PeerAddress
  /// When the kernel received it, on the process's monotonic clock.
  public let arrival: Instant
  /// Whether it was longer than ``DatagramBuffer/datagramLimit`` and has been cut.
  public let isTruncated: Bool
}

/// A bound, non-blocking UDP socket that its owner reads once per pacing tick.
///
/// A leg needs its packets when its 20 ms slot comes, not before, so nothing waits for readiness: the slot reads what the
/// kernel has queued and takes each datagram's arrival time from the kernel. That saves a wake-up, an address in text and two
/// allocations per packet. Confined to its owner's event loop.
public final class UDPSocket {
  private let descriptor: Int32
  private let isIPv6: Bool
  /// What the socket is bound to, with the port that the system chose for 0.
  public let local: PeerAddress
  /// Datagrams that could not be handed to the kernel (its queue was full, the peer unreachable).
  public private(set) var sendErrors = 0
  private var isOpen = true
  private var target = sockaddr_storage()
  private var targetLength: socklen_t = 0
  private var targetPeer: PeerAddress?

  // asm-generic/socket.h; glibc hides them from strict POSIX callers.
  private static let soTimestampNanoseconds: Int32 = 35
  private static let truncatedFlag: Int32 = 0x20

  /// Binds `host` (numeric) and `port` (0: any free one).
  public init(host: String, port: Int) throws(SocketError) {
    guard let wanted = PeerAddress(host, port: port) else { throw SocketError(badAddress: host) }
    (descriptor, local) = try Self.open(wanted)
    isIPv6 = !wanted.isIPv4
    var on: Int32 = 1
    let size = socklen_t(MemoryLayout<Int32>.size)
    _ = setsockopt(descriptor, SOL_SOCKET, Self.soTimestampNanoseconds, &on, size)
    // Expedited forwarding (RFC 3246): voice ahead of bulk where the network honours it.
    var trafficClass: Int32 = 0xB8
    _ =
      isIPv6
      ? setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_TCLASS, &trafficClass, size)
      : setsockopt(descriptor, Int32(IPPROTO_IP), IP_TOS, &trafficClass, size)
  }

  private static func open(_ wanted: PeerAddress) throws(SocketError) -> (descriptor: Int32, local: PeerAddress) {
    let kind = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let descriptor = socket(wanted.isIPv4 ? AF_INET : AF_INET6, kind, 0)
    guard descriptor >= 0 else {
      throw SocketError(errno: errno, doing: "open a UDP socket at", at: wanted.description)
    }
    var storage = sockaddr_storage()
    let length = wanted.write(to: &storage, mapped: !wanted.isIPv4)
    let bound = withUnsafePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
    }
    guard bound == 0 else {
      let number = errno
      Glibc.close(descriptor)
      throw SocketError(errno: number, doing: "bind UDP", at: wanted.description)
    }
    return (descriptor, name(of: descriptor) ?? wanted)
  }

  fileprivate static func name(of descriptor: Int32) -> PeerAddress? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let named = withUnsafeMutablePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
    }
    guard named == 0 else { return nil }
    return withUnsafePointer(to: &storage) { PeerAddress($0) }
  }

  deinit { if isOpen { Glibc.close(descriptor) } }

  /// Hands every queued datagram to `body`, at most `limit` of them, so that a flood on one port cannot hold up the other
  /// calls of the loop; what is left waits in the kernel, which drops when its own queue is full.
  /// - Returns: how many were read.
  @discardableResult
  public func receive(into buffer: DatagramBuffer, limit: Int, _ body: (Datagram) -> Void) -> Int {
    guard isOpen else { return 0 }
    var count = 0
    // Kernel stamps are wall-clock time: measured against both clocks now, an arrival becomes a monotonic instant.
    var wallNow: Int64?
    var monotonicNow = Instant.zero
    while count < limit {
      let header = buffer.header
      header.pointee.msg_name = UnsafeMutableRawPointer(buffer.address)
      header.pointee.msg_namelen = socklen_t(MemoryLayout<sockaddr_storage>.size)
      header.pointee.msg_iov = buffer.vector
      header.pointee.msg_iovlen = 1
      header.pointee.msg_control = buffer.control
      header.pointee.msg_controllen = DatagramBuffer.controlSize
      header.pointee.msg_flags = 0
      let length = recvmsg(descriptor, header, 0)
      if length < 0 {
        if errno == EINTR { continue }
        break
      }
      count += 1
      guard let peer = PeerAddress(UnsafePointer(buffer.address)) else { continue }
      if wallNow == nil {
        monotonicNow = .monotonic()
        wallNow = Self.wallClockNanoseconds()
      }
      var arrival = monotonicNow
      if let wallNow, let stamp = Self.timestamp(header) {
        // A stepped wall clock must not produce an arrival in the future or long ago.
        let age = max(0, min(wallNow &- stamp, 1_000_000_000))
        arrival = monotonicNow - .nanoseconds(age)
      }
      body(
        Datagram(
          bytes: UnsafeRawBufferPointer(start: buffer.bytes, count: min(length, DatagramBuffer.datagramLimit)),
          peer: peer, arrival: arrival, isTruncated: header.pointee.msg_flags & Self.truncatedFlag != 0))
    }
    return count
  }

  /// Sends one datagram now. A failure is counted, not reported: media does not repeat itself.
  public func send(_ bytes: UnsafeRawBufferPointer, to peer: PeerAddress) {
    guard isOpen else { return }
    if targetPeer != peer {
      targetLength = peer.write(to: &target, mapped: isIPv6)
      targetPeer = peer
    }
    let sent = withUnsafePointer(to: &target) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        sendto(descriptor, bytes.baseAddress, bytes.count, 0, $0, targetLength)
      }
    }
    if sent != bytes.count { sendErrors += 1 }
  }

  /// Closes the socket. Idempotent; nothing is read or sent afterwards.
  public func close() {
    guard isOpen else { return }
    isOpen = false
    Glibc.close(descriptor)
  }

  private static func wallClockNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }

  /// The SCM_TIMESTAMPNS of a received message: the only control message that is asked for, so it is the first one.
  private static func timestamp(_ header: UnsafeMutablePointer<msghdr>) -> Int64? {
    let size = MemoryLayout<cmsghdr>.size + MemoryLayout<timespec>.size
    guard header.pointee.msg_controllen >= size, let control = header.pointee.msg_control else { return nil }
    let message = control.load(as: cmsghdr.self)
    guard message.cmsg_level == SOL_SOCKET, message.cmsg_type == soTimestampNanoseconds else { return nil }
    let time = control.load(fromByteOffset: MemoryLayout<cmsghdr>.size, as: timespec.self)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}

/// The local address from which `peer` would be reached, asked of the kernel's routing table; no packet is sent.
/// nil where there is no route.
public func localAddress(towards peer: PeerAddress) -> PeerAddress? {
  let family = peer.isIPv4 ? AF_INET : AF_INET6
  let descriptor = socket(family, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
  guard descriptor >= 0 else { return nil }
  defer { close(descriptor) }
  var storage = sockaddr_storage()
  // Any port does for a look-up, but 0 is refused by some kernels.
  let target = peer.port == 0 ? PeerAddress(high: peer.high, low: peer.low, port: 9) : peer
  let length = target.write(to: &storage, mapped: false)
  let connected = withUnsafePointer(to: &storage) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, length) }
  }
  guard connected == 0 else { return nil }
  return UDPSocket.name(of: descriptor)
}
