import Foundation

/// A web server to compare with, on a free port.
final class PeerServer {
  let port: Int
  private let process: Process
  private let log: String

  var pid: Int32 { process.processIdentifier }

  /// The least that Hummingbird does for a request: a fixed answer of so many bytes.
  static func hummingbird(answering size: Int) throws -> PeerServer {
    let port = Int.random(in: 15_000...19_000)
    return try PeerServer(
      "\(Tools.root)/Benchmarks/.build/release/hello", ["\(port)", "\(size)"], port: port, log: "/dev/null")
  }

  /// nginx in one process: `/call.json` is a file with this content, anything else an empty answer.
  static func nginx(answering text: String) throws -> PeerServer {
    let folder = try Tools.temporaryFolder()
    let port = Int.random(in: 15_000...19_000)
    try text.write(toFile: "\(folder)/call.json", atomically: true, encoding: .utf8)
    let configuration = """
      daemon off; master_process off; pid \(folder)/pid; error_log \(folder)/error.log;
      events { worker_connections 4096; }
      http {
        default_type application/json; keepalive_requests 1000000; client_body_temp_path \(folder);
        proxy_temp_path \(folder); fastcgi_temp_path \(folder); uwsgi_temp_path \(folder); scgi_temp_path \(folder);
        log_format short '$uri';
        server {
          listen 127.0.0.1:\(port); root \(folder);
          location = /call.json { access_log off; }
          location / { access_log \(folder)/access.log short; return 200 '{}'; }
        }
      }
      """
    try configuration.write(toFile: "\(folder)/nginx.conf", atomically: true, encoding: .utf8)
    return try PeerServer(
      "/usr/sbin/nginx", ["-p", folder, "-c", "\(folder)/nginx.conf"], port: port, log: "\(folder)/access.log")
  }

  private init(_ program: String, _ arguments: [String], port: Int, log: String) throws {
    self.port = port
    self.log = log
    process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    for _ in 0..<100 {
      if (try? Socket(port: port)) != nil { return }
      Thread.sleep(forTimeInterval: 0.1)
    }
    throw Gateway.Failed(description: "\(program) does not listen")
  }

  /// How many requests for `path` it has logged.
  func requests(to path: String) throws -> Int {
    guard let text = FileManager.default.contents(atPath: log) else { return 0 }
    // A line each.
    return text.count / (path.utf8.count + 1)
  }

  func stop() {
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }
}

/// A blocking TCP connection to a server on this machine.
final class Socket {
  let descriptor: Int32

  init(port: Int) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(UInt16(port)).bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let status = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard status == 0 else {
      close(descriptor)
      throw Gateway.Failed(description: "no connection to port \(port): \(String(cString: strerror(errno)))")
    }
    var on: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
  }

  deinit { close(descriptor) }

  func write(_ text: String) throws {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      guard count > 0 else { throw Gateway.Failed(description: "a connection broke") }
      bytes = bytes.dropFirst(count)
    }
  }

  /// What there is, at least a byte.
  func read() throws -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    let count = recv(descriptor, &buffer, buffer.count, 0)
    guard count > 0 else { throw Gateway.Failed(description: "a connection ended") }
    return Array(buffer[..<count])
  }
}
