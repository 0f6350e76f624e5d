#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Looks at a folder: one `stat` for each file, nothing is read. A thousand files take a few milliseconds.
enum FolderListing {
  /// Why a folder cannot be looked at: one sentence.
  struct Failure: Error, CustomStringConvertible { var description: String }

  /// The files below `path` that `isWanted` takes, by their path below it; or `path` itself where it is a file, by its name.
  /// Hidden names are left out, and with them the folders that hold the versions of a ConfigMap.
  /// - Parameters:
  ///   - depth: folders below `path` that are gone into; 0: none.
  ///   - limit: more files than this are a mistake in the configuration.
  static func look(
    at path: String, depth: Int, limit: Int, isWanted: (String) -> Bool
  ) throws(Failure) -> [String: FolderReload.Stamp] {
    guard let (own, isFolder) = stamp(path) else { throw Failure(description: "there is no file or folder \(path)") }
    guard isFolder else { return [name(of: path): own] }
    var found: [String: FolderReload.Stamp] = [:]
    var open = [(below: "", depth: 0)]
    while let next = open.popLast() {
      let folder = next.below.isEmpty ? path : "\(path)/\(next.below)"
      guard let stream = opendir(folder) else {
        if next.below.isEmpty {
          throw Failure(description: "the folder \(path) cannot be read: \(String(cString: strerror(errno)))")
        }
        // It went away between its parent's listing and now.
        continue
      }
      defer { closedir(stream) }
      while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
          pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name.hasPrefix(".") { continue }
        let below = next.below.isEmpty ? name : "\(next.below)/\(name)"
        let isCandidate = isWanted(name)
        // Most names tell that they are no concern of ours; a look must not cost a stat for each of those.
        if !isCandidate, next.depth >= depth { continue }
        guard let (stamp, isFolder) = stamp("\(path)/\(below)") else { continue }
        if isFolder {
          if next.depth < depth { open.append((below, next.depth + 1)) }
        } else if isCandidate {
          found[below] = stamp
          guard found.count <= limit else {
            throw Failure(description: "the folder \(path) has more than \(limit) files; that is the limit")
          }
        }
      }
    }
    return found
  }

  static func isFolder(_ path: String) -> Bool { stamp(path)?.isFolder == true }

  private static func name(of path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
  }

  /// nil: there is nothing, or nothing that can be looked at.
  private static func stamp(_ path: String) -> (FolderReload.Stamp, isFolder: Bool)? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    func nanoseconds(_ time: timespec) -> Int64 { Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec) }
    return (
      FolderReload.Stamp(
        size: Int64(status.st_size), modifiedNs: nanoseconds(status.st_mtim), changedNs: nanoseconds(status.st_ctim),
        inode: UInt64(status.st_ino), device: UInt64(status.st_dev)),
      status.st_mode & S_IFMT == S_IFDIR
    )
  }
}
