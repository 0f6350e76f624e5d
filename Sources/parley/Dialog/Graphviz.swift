import FoundationEssentials

#if canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// Graphviz's `dot`, a program of its own that draws graphs.
enum Graphviz {
  /// - Parameter dot: a graph in DOT.
  static func svg(_ dot: String) throws -> String {
    let folder = FileManager.default.temporaryDirectory.path
    let name = "\(folder)/parley-graph-\(getpid()).dot"
    do {
      try Data(dot.utf8).write(to: URL(filePath: name))
    } catch {
      throw CommandFailure("\(name) cannot be written")
    }
    defer { unlink(name) }
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw CommandFailure("no pipe to Graphviz: \(reason(errno))") }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, name, O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
    posix_spawn_file_actions_addclose(&actions, ends[0])
    posix_spawn_file_actions_addclose(&actions, ends[1])
    var arguments: [UnsafeMutablePointer<CChar>?] = ["dot", "-Tsvg"].map { (word: String) in strdup(word) } + [nil]
    defer { for argument in arguments { free(argument) } }
    var process: pid_t = 0
    let failure = posix_spawnp(&process, "dot", &actions, nil, &arguments, environ)
    close(ends[1])
    guard failure == 0 else {
      close(ends[0])
      throw CommandFailure(
        failure == ENOENT
          ? "Graphviz is not installed: install the package graphviz, or use --format dot or --format mermaid"
          : "Graphviz cannot be started: \(reason(failure))")
    }
    let svg = FileHandleReader.all(of: ends[0])
    close(ends[0])
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0, errno == EINTR {}
    guard status == 0, !svg.isEmpty else { throw CommandFailure("Graphviz could not draw the graph") }
    return String(decoding: svg, as: UTF8.self)
  }

  private static func reason(_ code: Int32) -> String { String(cString: strerror(code)) }
}

/// Reads what another program writes.
enum FileHandleReader {
  static func all(of descriptor: Int32) -> [UInt8] {
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = block.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return bytes }
      bytes += block[..<count]
    }
  }
}
