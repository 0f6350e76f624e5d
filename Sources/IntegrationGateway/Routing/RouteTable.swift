import HTTPTypes

/// The routes, found by the segments of a path. Made once.
struct RouteTable: Sendable {
  /// All methods of one path.
  struct Place: Sendable {
    var path: String
    /// nil: a segment in braces, which takes any text.
    fileprivate var literals: [String?]
    fileprivate var names: [String]
    var routes: [APIRoute]

    /// As `Allow` names them (RFC 9110 section 10.2.1).
    var methods: String {
      var names = routes.map(\.method.rawValue)
      if names.contains("GET") { names.append("HEAD") }
      return (names + ["OPTIONS"]).joined(separator: ", ")
    }

    func route(_ method: HTTPRequest.Method) -> APIRoute? { routes.first { $0.method == method } }
  }

  let routes: [APIRoute]
  /// By the number of segments; places without parameters first.
  private var places: [Int: [Place]] = [:]

  init(_ routes: [APIRoute]) {
    self.routes = routes
    var byPath: [String: Place] = [:]
    for route in routes {
      let segments = route.path.split(separator: "/").map { String($0) }
      var place =
        byPath[route.path]
        ?? Place(
          path: route.path, literals: segments.map { $0.hasPrefix("{") ? nil : $0 },
          names: segments.map { String($0.dropFirst().dropLast()) }, routes: [])
      place.routes.append(route)
      byPath[route.path] = place
    }
    for place in byPath.values { places[place.literals.count, default: []].append(place) }
    for count in places.keys {
      places[count]?.sort { a, b in
        let (left, right) = (a.literals.count { $0 == nil }, b.literals.count { $0 == nil })
        return left == right ? a.path < b.path : left < right
      }
    }
  }

  /// The place of a path, and the values of its segments in braces; nil: there is none. `segments` are percent-decoded.
  func find(_ segments: [String]) -> (place: Place, values: [String: String])? {
    for place in places[segments.count] ?? [] {
      var fits = true
      for (literal, segment) in zip(place.literals, segments) where literal != nil && literal != segment {
        fits = false
        break
      }
      guard fits else { continue }
      var values: [String: String] = [:]
      for (i, literal) in place.literals.enumerated() where literal == nil { values[place.names[i]] = segments[i] }
      return (place, values)
    }
    return nil
  }
}
