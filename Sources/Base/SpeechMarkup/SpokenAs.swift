/// What `say-as` makes of its text. Anything that does not look like what it is said to be is spoken as it stands.
enum SpokenAs {
  private static let months = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
  ]
  private static let symbols: [Character: String] = [
    ".": "dot", "@": "at", "-": "dash", "_": "underscore", "/": "slash", "+": "plus", "#": "hash", "*": "star",
    "&": "and", "%": "percent", ":": "colon",
  ]
  private static let currencies: [String: (whole: String, wholes: String, part: String, parts: String)] = [
    "$": ("dollar", "dollars", "cent", "cents"), "USD": ("dollar", "dollars", "cent", "cents"),
    "\u{20AC}": ("euro", "euros", "cent", "cents"), "EUR": ("euro", "euros", "cent", "cents"),
    "\u{A3}": ("pound", "pounds", "penny", "pence"), "GBP": ("pound", "pounds", "penny", "pence"),
    "CHF": ("franc", "francs", "centime", "centimes"), "CAD": ("dollar", "dollars", "cent", "cents"),
    "AUD": ("dollar", "dollars", "cent", "cents"), "\u{A5}": ("yen", "yen", "sen", "sen"),
    "JPY": ("yen", "yen", "sen", "sen"), "INR": ("rupee", "rupees", "paisa", "paise"),
  ]

  static func words(_ source: String, kind: String, format: String) -> String {
    let text = source.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    let spoken: String? =
      switch kind {
      case "characters", "spell-out", "verbatim": characters(text)
      case "digits": digits(text)
      case "cardinal", "number": cardinal(text)
      case "ordinal": number(text).map(SpokenNumber.ordinal)
      case "date": date(text, format: format)
      case "time": time(text)
      case "telephone": telephone(text)
      case "currency": currency(text)
      default: nil
      }
    return spoken ?? text
  }

  /// Letter by letter. A comma after each keeps the voice from running them together.
  private static func characters(_ text: String) -> String? {
    let names = text.compactMap { character -> String? in
      if let digit = SpokenNumber.digit(character) { return digit }
      if character.isLetter { return character.uppercased() }
      return symbols[character]
    }
    return names.isEmpty ? nil : names.joined(separator: ", ")
  }

  private static func digits(_ text: String) -> String? {
    let names = text.compactMap { SpokenNumber.digit($0) ?? (symbols[$0] != nil && $0 != "-" ? symbols[$0] : nil) }
    return names.isEmpty ? nil : names.joined(separator: " ")
  }

  /// A whole number with or without separators of thousands and an ending (`1,250`, `3rd`).
  private static func number(_ text: String) -> Int? {
    let endings = ["st", "nd", "rd", "th"]
    let bare = endings.first(where: { text.lowercased().hasSuffix($0) }) == nil ? text[...] : text.dropLast(2)
    return Int(bare.filter { $0 != "," && $0 != " " })
  }

  private static func cardinal(_ text: String) -> String? {
    if let whole = number(text) { return SpokenNumber.cardinal(whole) }
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 2, let whole = number(String(parts[0])), !parts[1].isEmpty,
      parts[1].allSatisfy({ SpokenNumber.digit($0) != nil })
    else { return nil }
    let minus = whole == 0 && parts[0].hasPrefix("-") ? "minus " : ""
    return minus + SpokenNumber.cardinal(whole) + " point "
      + parts[1].compactMap(SpokenNumber.digit).joined(separator: " ")
  }

  // MARK: Dates and times

  /// `format` names the fields in their order (`mdy`, `dm`, `y`); without one, year first or month first.
  private static func date(_ text: String, format: String) -> String? {
    let numbers = text.split(whereSeparator: { "-/. ".contains($0) })
    guard numbers.allSatisfy({ $0.utf8.count <= 4 && $0.allSatisfy { SpokenNumber.digit($0) != nil } }) else {
      return nil
    }
    var order = Array(format.isEmpty ? (numbers.first?.count == 4 ? "ymd" : "mdy") : format)
    if format.isEmpty { order = Array(order.prefix(numbers.count)) }
    guard order.count == numbers.count, !order.isEmpty else { return nil }
    var year: String?
    var month: String?
    var day: String?
    for (field, digits) in zip(order, numbers) {
      guard let value = Int(digits) else { return nil }
      switch field {
      case "y": year = SpokenNumber.year(value)
      case "m" where (1...12).contains(value): month = months[value - 1]
      case "d" where (1...31).contains(value): day = SpokenNumber.ordinal(value)
      default: return nil
      }
    }
    let dayAndMonth = [month, day].compactMap(\.self).joined(separator: " ")
    return [dayAndMonth.isEmpty ? nil : dayAndMonth, year].compactMap(\.self).joined(separator: ", ")
  }

  /// `14:30`, `2:30pm`, `14:30:05`.
  private static func time(_ text: String) -> String? {
    var half: String?
    var bare = text.lowercased().filter { $0 != " " && $0 != "." }
    for (ending, words) in [("am", "A M"), ("pm", "P M")] where bare.hasSuffix(ending) {
      half = words
      bare.removeLast(2)
    }
    let fields = bare.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
    guard fields.count <= 3, fields.count > 1 || half != nil, let hour = fields[0], (0...24).contains(hour) else {
      return nil
    }
    let minute = fields.count > 1 ? fields[1] : 0
    let second = fields.count > 2 ? fields[2] : 0
    guard let minute, let second, (0..<60).contains(minute), (0..<60).contains(second) else { return nil }
    if half == nil { half = hour % 24 < 12 ? "A M" : "P M" }
    var words = [SpokenNumber.cardinal(hour % 12 == 0 ? 12 : hour % 12)]
    if minute > 0 || second > 0 {
      words.append(minute == 0 ? "o'clock" : (minute < 10 ? "oh " : "") + SpokenNumber.cardinal(minute))
    }
    if second > 0 { words.append("and \(SpokenNumber.cardinal(second)) second\(second == 1 ? "" : "s")") }
    words.append(half ?? "")
    return words.joined(separator: " ")
  }

  // MARK: Telephone numbers and money

  /// Digit by digit, with a breath where the number has a separator.
  private static func telephone(_ text: String) -> String? {
    let groups = text.split(whereSeparator: { "-/(). ".contains($0) })
    let spoken = groups.map { group in
      group.compactMap { SpokenNumber.digit($0) ?? ($0.isLetter ? $0.uppercased() : symbols[$0]) }
        .joined(separator: " ")
    }.filter { !$0.isEmpty }
    return spoken.isEmpty ? nil : spoken.joined(separator: ", ")
  }

  /// `$12.50`, `12.50 EUR`, `GBP 3`.
  private static func currency(_ text: String) -> String? {
    let isAmount: (Character) -> Bool = { $0.isASCII && $0.isNumber || $0 == "." || $0 == "," || $0 == "-" }
    let amount = text.filter(isAmount).filter { $0 != "," }
    let name = text.filter { !isAmount($0) && $0 != " " }.uppercased()
    let parts = amount.split(separator: ".", omittingEmptySubsequences: false)
    guard let money = currencies[name], (1...2).contains(parts.count),
      let whole = Int(parts[0].isEmpty ? "0" : parts[0])
    else { return nil }
    var part = 0
    if parts.count == 2 {
      guard let hundredths = Int((parts[1] + "00").prefix(2)), hundredths >= 0 else { return nil }
      part = hundredths
    }
    var words: [String] = []
    if whole != 0 || part == 0 {
      words.append("\(SpokenNumber.cardinal(whole)) \(whole.magnitude == 1 ? money.whole : money.wholes)")
    }
    if part > 0 { words.append("\(SpokenNumber.cardinal(part)) \(part == 1 ? money.part : money.parts)") }
    return words.joined(separator: " and ")
  }
}
