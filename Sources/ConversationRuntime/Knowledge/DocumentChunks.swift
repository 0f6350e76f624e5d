import Storage

/// Cuts a document into passages that can be read to a language model: about ``size`` characters, whole sentences, under
/// the headings they stand under. Pure.
package enum DocumentChunks {
  /// Characters of a passage: enough for a thought, few enough that several fit into a prompt.
  package static let size = 800
  /// Characters that a passage repeats of the one before it, so that a thought across the border is found.
  package static let overlap = 120

  /// - Parameter isMarkdown: whether `#` begins a heading and ``` fences text.
  package static func cut(_ text: String, isMarkdown: Bool) -> [DocumentPassage] {
    var passages: [DocumentPassage] = []
    for section in sections(text, isMarkdown: isMarkdown) {
      for chunk in pack(section.sentences) {
        passages.append(DocumentPassage(heading: section.heading, text: chunk))
      }
    }
    return passages
  }

  // MARK: Sections

  private struct Section {
    var heading: String
    /// Each with whether a line ends before it.
    var sentences: [Sentence] = []
  }

  private struct Sentence {
    var text: String
    /// A paragraph, a line of a list or of code begins with it.
    var beginsLine: Bool
    var length: Int { text.unicodeScalars.count }
  }

  private static func sections(_ text: String, isMarkdown: Bool) -> [Section] {
    var sections = [Section(heading: "")]
    var path: [(level: Int, title: String)] = []
    var paragraph: [Substring] = []
    var isFenced = false

    func finish() {
      let joined = paragraph.map { trimmed($0) }.joined(separator: " ")
      paragraph = []
      var isFirst = true
      for sentence in sentences(joined) {
        sections[sections.count - 1].sentences.append(Sentence(text: sentence, beginsLine: isFirst))
        isFirst = false
      }
    }

    var lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)[...]
    if isMarkdown, lines.first.map({ trimmed($0) }) == "---",
      let end = lines.dropFirst().firstIndex(where: { trimmed($0) == "---" })
    {
      // Front matter is about the document, not of it.
      lines = lines[(end + 1)...]
    }
    for line in lines {
      let content = trimmed(line)
      if isMarkdown, content.hasPrefix("```") || content.hasPrefix("~~~") {
        finish()
        isFenced.toggle()
      } else if isFenced {
        finish()
        paragraph = [line]
        finish()
      } else if content.isEmpty {
        finish()
      } else if isMarkdown, let heading = heading(content) {
        finish()
        path.removeAll { $0.level >= heading.level }
        path.append(heading)
        sections.append(Section(heading: path.map(\.title).joined(separator: " > ")))
      } else if isItem(content) {
        finish()
        paragraph = [line]
      } else {
        paragraph.append(line)
      }
    }
    finish()
    // A heading with nothing below it but other headings says something all the same.
    return sections.filter { !$0.sentences.isEmpty }
  }

  /// `## Title ##`
  private static func heading(_ line: String) -> (level: Int, title: String)? {
    let level = line.prefix { $0 == "#" }.count
    guard (1...6).contains(level), line.dropFirst(level).first == " " else { return nil }
    var title = trimmed(line.dropFirst(level))
    while title.hasSuffix("#") { title.removeLast() }
    title = trimmed(title[...])
    return title.isEmpty ? nil : (level, title)
  }

  /// A line of a list, a quotation or a table stands for itself.
  private static func isItem(_ line: String) -> Bool {
    if ["- ", "* ", "+ ", "> ", "|"].contains(where: line.hasPrefix) { return true }
    let digits = line.prefix { $0.isASCII && $0.isNumber }.count
    return (1...3).contains(digits) && [". ", ") "].contains(where: line.dropFirst(digits).hasPrefix)
  }

  // MARK: Sentences

  /// Cuts after `.`, `!`, `?` and their like where a space and then something other than a small letter follows. What is
  /// longer than a passage is cut between words, and a word that is longer between letters.
  private static func sentences(_ text: String) -> [String] {
    var sentences: [String] = []
    var start = text.startIndex
    var at = text.startIndex
    while at < text.endIndex {
      let next = text.index(after: at)
      if ".!?\u{2026}\u{3002}\u{FF01}\u{FF1F}".contains(text[at]) {
        let isWide = "\u{3002}\u{FF01}\u{FF1F}".contains(text[at])
        var end = next
        while end < text.endIndex, "\"')]\u{201D}\u{2019}\u{00BB}".contains(text[end]) { end = text.index(after: end) }
        let follows = end < text.endIndex ? text[end] : nil
        let after = text[end...].first { !$0.isWhitespace }
        if follows.map({ $0.isWhitespace && after?.isLowercase != true }) ?? true || isWide {
          append(text[start..<end], to: &sentences)
          start = end
          at = end
          continue
        }
      }
      at = next
    }
    append(text[start...], to: &sentences)
    return sentences
  }

  private static func append(_ part: Substring, to sentences: inout [String]) {
    let text = trimmed(part)
    if text.unicodeScalars.count <= size {
      if !text.isEmpty { sentences.append(text) }
      return
    }
    var piece = ""
    var length = 0
    func flush() {
      if !piece.isEmpty { sentences.append(piece) }
      piece = ""
      length = 0
    }
    for word in text.split(whereSeparator: \.isWhitespace) {
      let count = word.unicodeScalars.count
      if length + 1 + count > size { flush() }
      if count > size {
        var scalars = word.unicodeScalars[...]
        while scalars.count > size {
          sentences.append(String(String.UnicodeScalarView(scalars.prefix(size))))
          scalars = scalars.dropFirst(size)
        }
        piece = String(String.UnicodeScalarView(scalars))
        length = scalars.count
      } else {
        piece += (piece.isEmpty ? "" : " ") + word
        length += count + 1
      }
    }
    flush()
  }

  // MARK: Passages

  private static func pack(_ sentences: [Sentence]) -> [String] {
    var passages: [String] = []
    var open: [Sentence] = []
    var length = 0
    /// Sentences of `open` that the passage before has, too.
    var repeated = 0
    for sentence in sentences {
      if length + 1 + sentence.length > size, open.count > repeated {
        passages.append(join(open))
        var tail: [Sentence] = []
        var tailLength = 0
        for last in open.reversed() where tailLength >= 0 {
          if tailLength + last.length > overlap || tailLength + last.length + sentence.length > size {
            tailLength = -1
          } else {
            tail.insert(last, at: 0)
            tailLength += last.length + 1
          }
        }
        open = tail
        repeated = tail.count
        length = tail.reduce(0) { $0 + $1.length + 1 }
      }
      open.append(sentence)
      length += sentence.length + 1
    }
    if open.count > repeated { passages.append(join(open)) }
    return passages
  }

  private static func join(_ sentences: [Sentence]) -> String {
    var text = ""
    for sentence in sentences {
      if !text.isEmpty { text += sentence.beginsLine ? "\n" : " " }
      text += sentence.text
    }
    return text
  }

  private static func trimmed(_ text: Substring) -> String {
    let start = text.drop(while: \.isWhitespace)
    return String(start.prefix(upTo: start.lastIndex { !$0.isWhitespace }.map(start.index(after:)) ?? start.startIndex))
  }
}
