import CFlite

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// How words are spoken: the recogniser's dictionary of 134 000 US English words, mapped into memory once per
/// process, and Flite's letter-to-sound rules for every other word.
///
/// Immutable after `init`, so that all decoders may ask it at once.
final class PronouncingDictionary: Sendable {
  /// More than any word of the dictionary has; the rest is cut.
  static let maxPronunciations = 4
  /// The longest word that letter-to-sound is asked for.
  static let maxWordLength = 64

  // Mapped read-only at init and unmapped at deinit; nothing writes, so any thread may read.
  private nonisolated(unsafe) let bytes: UnsafeRawBufferPointer
  /// Open addressing: 1 + the offset of the word's first line, 0 for an empty slot.
  private let slots: [UInt32]
  /// Words found in the file.
  let count: Int

  /// - Throws: ``SpeechSetupError`` where the file cannot be read or is no dictionary.
  init(path: String) throws(SpeechSetupError) {
    let hint = "install the package pocketsphinx-en-us"
    let fd = open(path, O_RDONLY | O_CLOEXEC)
    guard fd >= 0 else { throw SpeechSetupError("the dictionary \(path) cannot be read", hint: hint) }
    defer { close(fd) }
    var info = stat()
    // 64 MiB: twenty times the US English dictionary; offsets must fit 32 bits.
    guard fstat(fd, &info) == 0, info.st_size > 0, info.st_size < 64 << 20 else {
      throw SpeechSetupError("the dictionary \(path) is empty or too large", hint: hint)
    }
    let size = Int(info.st_size)
    guard let base = mmap(nil, size, PROT_READ, MAP_PRIVATE, fd, 0), base != MAP_FAILED else {
      throw SpeechSetupError("the dictionary \(path) cannot be mapped into memory", hint: hint)
    }
    let bytes = UnsafeRawBufferPointer(start: base, count: size)
    var table = [UInt32](repeating: 0, count: 1 << 18)
    var words = 0
    var start = 0
    while start < size {
      var end = start
      while end < size, bytes[end] != 0x0A { end += 1 }
      var wordEnd = start
      while wordEnd < end, bytes[wordEnd] > 0x20 { wordEnd += 1 }
      // Lines of further pronunciations, `word(2)`, follow their word and are found from there.
      let alternative = wordEnd > start + 2 && bytes[wordEnd - 1] == 0x29
      if wordEnd > start, wordEnd < end, !alternative, words < table.count * 3 / 4 {
        var slot = Self.hash(bytes, start, wordEnd) & (table.count - 1)
        while table[slot] != 0 { slot = (slot + 1) & (table.count - 1) }
        table[slot] = UInt32(start + 1)
        words += 1
      }
      start = end + 1
    }
    guard words > 0 else {
      munmap(base, size)
      throw SpeechSetupError("\(path) is not a pronouncing dictionary", hint: hint)
    }
    self.bytes = bytes
    slots = table
    count = words
  }

  deinit { munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count) }

  private static func hash(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> Int {
    var h: UInt64 = 0xCBF2_9CE4_8422_2325
    for i in start..<end { h = (h ^ UInt64(bytes[i])) &* 0x0000_0100_0000_01B3 }
    return Int(truncatingIfNeeded: h ^ (h >> 29)) & .max
  }

  /// The word's pronunciations as the acoustic model spells phones (`P AE S W ER D`), from the dictionary or, for a
  /// word it does not have, by rule. Empty where even the rules find nothing to say.
  func pronunciations(_ word: String) -> [String] {
    let known = lookUp(word)
    if !known.isEmpty { return known }
    return Self.byRule(word).map { [$0] } ?? []
  }

  /// What the file has for the word; empty for nothing.
  func lookUp(_ word: String) -> [String] {
    var word = word
    return word.withUTF8 { name in
      let key = UnsafeRawBufferPointer(name)
      guard !key.isEmpty else { return [] }
      var slot = Self.hash(key, 0, key.count) & (slots.count - 1)
      while slots[slot] != 0 {
        let start = Int(slots[slot]) - 1
        if start + key.count < bytes.count, bytes[start + key.count] <= 0x20,
          bytes[start..<start + key.count].elementsEqual(key)
        {
          return lines(from: start, key: key)
        }
        slot = (slot + 1) & (slots.count - 1)
      }
      return []
    }
  }

  private func lines(from first: Int, key: UnsafeRawBufferPointer) -> [String] {
    var found: [String] = []
    var start = first
    while start + key.count < bytes.count, found.count < Self.maxPronunciations,
      bytes[start..<start + key.count].elementsEqual(key),
      bytes[start + key.count] <= 0x20 || bytes[start + key.count] == 0x28
    {
      var end = start
      while end < bytes.count, bytes[end] != 0x0A { end += 1 }
      var phones = start + key.count
      while phones < end, bytes[phones] > 0x20 { phones += 1 }
      while phones < end, bytes[phones] <= 0x20 { phones += 1 }
      found.append(String(decoding: bytes[phones..<end], as: UTF8.self))
      start = end + 1
    }
    return found
  }

  /// Flite's letter-to-sound rules in the acoustic model's phones.
  static func byRule(_ word: String) -> String? {
    guard word.utf8.count <= maxWordLength, word.utf8.allSatisfy({ (0x61...0x7A).contains($0) || $0 == 0x27 }),
      word.utf8.contains(where: { $0 != 0x27 }), let lexicon = cmu_lex_init(),
      let list = lex_lookup(lexicon, word, nil, nil)
    else { return nil }
    defer { delete_val(list) }
    var phones: [String] = []
    var cell: OpaqueCell = OpaqueCell(list)
    while let value = cell.first {
      if let text = val_string(value) {
        var phone = String(cString: text).uppercased()
        while let last = phone.utf8.last, (0x30...0x39).contains(last) { phone.removeLast() }
        if phone == "AX" || phone == "AXR" { phone = phone == "AX" ? "AH" : "ER" }
        if modelPhones.contains(phone) { phones.append(phone) }
      }
      guard let rest = cell.rest else { break }
      cell = OpaqueCell(rest)
    }
    return phones.isEmpty ? nil : phones.joined(separator: " ")
  }

  /// A cell of Flite's Lisp-like lists.
  private struct OpaqueCell {
    let list: UnsafePointer<cst_val>
    init(_ list: UnsafePointer<cst_val>) { self.list = list }
    var first: UnsafePointer<cst_val>? { val_car(list) }
    var rest: UnsafePointer<cst_val>? { val_cdr(list) }
  }

  private static let modelPhones: Set<String> = [
    "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH", "IH", "IY", "JH", "K",
    "L",
    "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH",
  ]
}
