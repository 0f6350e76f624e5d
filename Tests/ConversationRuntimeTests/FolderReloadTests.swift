import ConversationRuntime
import Testing

/// When files are read again: only what is at rest, all of it together, and nothing twice.
@Suite struct FolderReloadTests {
  private func stamp(_ number: Int64, inode: UInt64 = 1) -> FolderReload.Stamp {
    FolderReload.Stamp(size: number, modifiedNs: number, changedNs: number, inode: inode, device: 1)
  }

  /// A machine that has read these.
  private func settled(_ files: [String: FolderReload.Stamp]) -> FolderReload {
    var machine = FolderReload()
    #expect(machine.look(files, isForced: true) == .read(changed: files.keys.sorted(), gone: []))
    machine.read(files.keys.sorted(), gone: [])
    #expect(machine.look(files) == .nothing)
    return machine
  }

  @Test func aChangeIsReadWhenTwoLooksAgree() {
    var machine = settled(["a": stamp(1), "b": stamp(1)])
    let changed = ["a": stamp(2), "b": stamp(1)]
    #expect(machine.look(changed) == .nothing, "it may still be being written")
    #expect(machine.look(changed) == .read(changed: ["a"], gone: []))
    machine.read(["a"], gone: [])
    #expect(machine.look(changed) == .nothing)
  }

  @Test func aFileThatGrowsIsReadWhenItIsWhole() {
    var machine = FolderReload()
    for size in 1...5 { #expect(machine.look(["a": stamp(Int64(size))]) == .nothing) }
    #expect(machine.look(["a": stamp(5)]) == .read(changed: ["a"], gone: []))
  }

  /// `..data` now points to another folder: every file has another inode at once.
  @Test func aSwappedFolderIsTakenAsAWhole() {
    var machine = settled(["a": stamp(1, inode: 10), "b": stamp(1, inode: 11), "c": stamp(1, inode: 12)])
    let swapped = ["a": stamp(1, inode: 20), "b": stamp(1, inode: 21), "d": stamp(1, inode: 22)]
    #expect(machine.look(swapped) == .nothing)
    #expect(machine.look(swapped) == .read(changed: ["a", "b", "d"], gone: ["c"]))
    machine.read(["a", "b", "d"], gone: ["c"])
    #expect(machine.look(swapped) == .nothing)
  }

  @Test func aChangeThatIsTakenBackIsNoChange() {
    var machine = settled(["a": stamp(1)])
    #expect(machine.look([:]) == .nothing)
    #expect(machine.look(["a": stamp(1)]) == .nothing, "an editor that replaces a file lets it vanish for a moment")
    #expect(machine.look(["a": stamp(1)]) == .nothing)
  }

  @Test func aChangeDuringTheReadingIsSeenAfterwards() {
    var machine = settled(["a": stamp(1)])
    _ = machine.look(["a": stamp(2)])
    #expect(machine.look(["a": stamp(2)]) == .read(changed: ["a"], gone: []))
    machine.read(["a"], gone: [])
    #expect(machine.look(["a": stamp(3)]) == .nothing)
    #expect(machine.look(["a": stamp(3)]) == .read(changed: ["a"], gone: []))
  }

  @Test func aRestlessFileHoldsNobodyUpForEver() {
    var machine = settled(["a": stamp(1), "log": stamp(0)])
    var decision = FolderReload.Decision.nothing
    var looks = 0
    while decision == .nothing, looks < 100 {
      looks += 1
      decision = machine.look(["a": stamp(2), "log": stamp(Int64(looks))])
    }
    #expect(decision == .read(changed: ["a"], gone: []))
    #expect(looks == FolderReload.impatience)
  }

  @Test func whoAsksGetsEverythingReadAtOnce() {
    var machine = settled(["a": stamp(1), "b": stamp(1)])
    #expect(
      machine.look(["a": stamp(1), "c": stamp(9)], isForced: true) == .read(changed: ["a", "c"], gone: ["b"]))
  }
}
