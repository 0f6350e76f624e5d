/// Cuts a text into pieces that are spoken one after the other, so that the first sound does not wait for the last
/// word.
enum Sentences {
  /// A longer sentence is cut at a comma, a still longer run at a space: the first sound waits for a whole piece.
  static let longPiece = 160
  /// No piece is longer; Flite's work grows with it.
  static let maxPiece = 400

  private static let abbreviations: Set<String> = [
    "mr.", "mrs.", "ms.", "dr.", "st.", "no.", "vs.", "e.g.", "i.e.", "prof.", "jr.", "sr.", "inc.", "co.", "a.m.",
    "p.m.",
  ]

  /// The pieces in order, without empty ones. Characters that no voice can say become spaces.
  static func split(_ text: String) -> [String] {
    var pieces: [String] = []
    var piece = ""
    func flush() {
      if piece.utf8.contains(where: isSpoken) { pieces.append(piece) }
      piece = ""
    }
    let words = text.split(whereSeparator: { $0.isWhitespace || $0.isNewline })
    for word in words {
      for part in plain(word).split(separator: " ") {
        if !piece.isEmpty { piece += " " }
        piece += part
        let ends = part.last == "." || part.last == "!" || part.last == "?" || part.last == ":" || part.last == ";"
        if ends, !abbreviations.contains(part.lowercased()) {
          flush()
        } else if piece.utf8.count > maxPiece || (piece.utf8.count > longPiece && part.last == ",") {
          flush()
        }
      }
    }
    flush()
    return pieces
  }

  private static func isSpoken(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
  }

  /// The voice knows ASCII only: common typography is replaced, the rest becomes a space. A word without end is cut, so
  /// that a piece stays bounded.
  private static func plain(_ word: Substring) -> String {
    var plain = ""
    for scalar in word.unicodeScalars {
      switch scalar {
      case "\u{2018}", "\u{2019}": plain += "'"
      case "\u{201C}", "\u{201D}": plain += "\""
      case "\u{2013}", "\u{2014}": plain += ", "
      case "\u{2026}": plain += "."
      case "\u{C4}", "\u{E4}", "\u{E1}", "\u{E0}", "\u{E2}", "\u{E5}": plain += "a"
      case "\u{E9}", "\u{E8}", "\u{EA}", "\u{EB}", "\u{C9}": plain += "e"
      case "\u{ED}", "\u{EE}", "\u{EF}": plain += "i"
      case "\u{D6}", "\u{F6}", "\u{F3}", "\u{F4}": plain += "o"
      case "\u{DC}", "\u{FC}", "\u{FA}", "\u{FB}": plain += "u"
      case "\u{DF}": plain += "ss"
      case "\u{E7}": plain += "c"
      case "\u{F1}": plain += "n"
      case "\u{20AC}": plain += " euros"
      case "\u{A3}": plain += " pounds "
      case "!"..."~": plain.unicodeScalars.append(scalar)
      default: plain += " "
      }
      if plain.utf8.count >= maxPiece { break }
    }
    return plain
  }
}
