import NIOPosix

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Finds the addresses of names.
public protocol AddressResolver: Sendable {
  /// All addresses of `name`, the best first (RFC 6724); never an empty list.
  /// - Throws: ``OutboundError`` of kind ``OutboundError/Kind/unresolved``.
  func addresses(of name: String) async throws -> [IPAddress]
}

/// The system's resolver (`getaddrinfo`): files, DNS, search domains, as configured on the machine.
///
/// It blocks, so it has threads of its own: a name server that is silent keeps at most these, and no call waits for them.
public struct SystemAddressResolver: AddressResolver {
  /// Names that are looked up at once; a lookup takes milliseconds, and a silent name server 5 s or more.
  static let threads = 4

  private static let pool: NIOThreadPool = {
    let pool = NIOThreadPool(numberOfThreads: threads)
    pool.start()
    return pool
  }()

  public init() {}

  public func addresses(of name: String) async throws -> [IPAddress] {
    try await Self.pool.runIfActive { try Self.lookUp(name) }
  }

  private static func lookUp(_ name: String) throws(OutboundError) -> [IPAddress] {
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    // Addresses of a family that this machine has none of would only cost a failed connection.
    hints.ai_flags = AI_ADDRCONFIG
    var head: UnsafeMutablePointer<addrinfo>?
    var status = getaddrinfo(name, nil, &hints, &head)
    if status != 0, status != EAI_AGAIN {
      // With AI_ADDRCONFIG a machine without any outer interface does not find its own names.
      hints.ai_flags = 0
      status = getaddrinfo(name, nil, &hints, &head)
    }
    guard status == 0 else {
      throw OutboundError(.unresolved, "\(name) has no address (\(String(cString: gai_strerror(status))))")
    }
    defer { freeaddrinfo(head) }
    var found: [IPAddress] = []
    var next = head
    while let entry = next?.pointee {
      next = entry.ai_next
      guard let raw = entry.ai_addr, let ip = address(raw, entry.ai_family), !found.contains(ip) else {
        continue
      }
      found.append(ip)
    }
    guard !found.isEmpty else { throw OutboundError(.unresolved, "\(name) has no address") }
    return found
  }

  private static func address(_ address: UnsafeMutablePointer<sockaddr>, _ family: Int32) -> IPAddress? {
    switch family {
    case AF_INET:
      address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { v4 in
        withUnsafeBytes(of: &v4.pointee.sin_addr) { IPAddress(bytes: Array($0)) }
      }
    case AF_INET6:
      address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { v6 in
        // A link-local address without its zone cannot be connected to; the policy refuses it anyway.
        withUnsafeBytes(of: &v6.pointee.sin6_addr) { IPAddress(bytes: Array($0)) }
      }
    default: nil
    }
  }
}
