#if Cluster
  #if canImport(Musl)
    import Musl
  #else
    import Glibc
  #endif

  /// Asks the system's resolver, which blocks: not on an event loop.
  enum AddressLookup {
    struct Failure: Error, CustomStringConvertible {
      var description: String
    }

    /// The numeric addresses that a name stands for.
    static func addresses(of host: String) throws(Failure) -> [String] {
      var hints = addrinfo()
      hints.ai_family = AF_UNSPEC
      hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
      var list: UnsafeMutablePointer<addrinfo>?
      let status = getaddrinfo(host, nil, &hints, &list)
      guard status == 0 else { throw Failure(description: String(cString: gai_strerror(status))) }
      defer { freeaddrinfo(list) }
      var found: [String] = []
      var next = list
      while let entry = next {
        var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        if getnameinfo(
          entry.pointee.ai_addr, entry.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0
        {
          found.append(String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        next = entry.pointee.ai_next
      }
      return found
    }
  }
#endif
