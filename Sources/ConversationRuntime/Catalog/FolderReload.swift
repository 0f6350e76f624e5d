/// Decides when the files of a folder are to be read again. Pure: it is shown what a look at the folder found, and says what
/// to do; it reads nothing itself.
///
/// A file that is being written must not be read half: what differs from the last reading is read once two looks in a row
/// agree. So a copy that takes its time, and a ConfigMap whose `..data` link is swapped, are each taken as a whole. Where a
/// folder never comes to rest (somebody logs into it), files that are at rest themselves are taken after
/// ``impatience`` looks.
package struct FolderReload: Sendable {
  /// What can be told of a file without reading it. A link is followed, so a swapped one shows another inode.
  package struct Stamp: Hashable, Sendable {
    package var size: Int64
    package var modifiedNs: Int64
    /// Changes with every change of the file, also where its time of modification was set back.
    package var changedNs: Int64
    package var inode: UInt64
    package var device: UInt64

    package init(size: Int64, modifiedNs: Int64, changedNs: Int64, inode: UInt64, device: UInt64) {
      self.size = size
      self.modifiedNs = modifiedNs
      self.changedNs = changedNs
      self.inode = inode
      self.device = device
    }
  }

  package enum Decision: Equatable, Sendable {
    case nothing
    /// Read these (paths, sorted), then call ``read(_:gone:)``; `gone` were there before.
    case read(changed: [String], gone: [String])
  }

  /// Looks after which a folder that does not come to rest is taken file by file.
  package static let impatience = 10

  /// The stamps with which each file was read last.
  package private(set) var settled: [String: Stamp] = [:]
  private var last: [String: Stamp] = [:]
  private var restless = 0

  package init() {}

  /// - Parameter isForced: read what differs now, at rest or not, and everything else too: somebody asked for it.
  package mutating func look(_ found: [String: Stamp], isForced: Bool = false) -> Decision {
    let before = last
    last = found
    if isForced {
      restless = 0
      return decide(found.keys.sorted(), gone: settled.keys.filter { found[$0] == nil })
    }
    if found == settled {
      restless = 0
      return .nothing
    }
    if found != before {
      restless += 1
      if restless < Self.impatience { return .nothing }
    }
    restless = 0
    let changed = found.filter { settled[$0.key] != $0.value && before[$0.key] == $0.value }.keys.sorted()
    return decide(changed, gone: settled.keys.filter { found[$0] == nil && before[$0] == nil })
  }

  private func decide(_ changed: [String], gone: [String]) -> Decision {
    changed.isEmpty && gone.isEmpty ? .nothing : .read(changed: changed, gone: gone.sorted())
  }

  /// The files were read (or could not be: that is settled, too, until they change).
  package mutating func read(_ changed: [String], gone: [String]) {
    for path in changed { settled[path] = last[path] }
    for path in gone { settled[path] = nil }
  }
}
