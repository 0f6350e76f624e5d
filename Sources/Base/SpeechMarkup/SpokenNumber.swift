/// Numbers as English says them.
public enum SpokenNumber {
  private static let ones = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
  ]
  private static let tens = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
  private static let thousands = ["", "thousand", "million", "billion", "trillion"]
  private static let irregularOrdinals = [
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
  ]

  /// The digit's word; nil for what is no digit.
  public static func digit(_ character: Character) -> String? {
    guard let value = character.wholeNumberValue, character.isASCII else { return nil }
    return ones[value]
  }

  /// `twelve hundred` is never said: 1200 is `one thousand two hundred`. From 10^15 on, digit by digit.
  public static func cardinal(_ value: Int) -> String {
    if value < 0 { return value == .min ? "\(value)" : "minus " + cardinal(-value) }
    if value < 20 { return ones[value] }
    if value < 100 { return tens[value / 10] + (value % 10 == 0 ? "" : " " + ones[value % 10]) }
    if value < 1000 {
      return ones[value / 100] + " hundred" + (value % 100 == 0 ? "" : " " + cardinal(value % 100))
    }
    var rest = value
    var groups: [String] = []
    for name in thousands where rest > 0 {
      if rest % 1000 > 0 { groups.append(cardinal(rest % 1000) + (name.isEmpty ? "" : " " + name)) }
      rest /= 1000
    }
    if rest > 0 { return "\(value)".compactMap(digit).joined(separator: " ") }
    return groups.reversed().joined(separator: " ")
  }

  /// `twenty first`.
  public static func ordinal(_ value: Int) -> String {
    var words = cardinal(value).split(separator: " ").map(String.init)
    guard let last = words.popLast() else { return "" }
    let ordinal =
      irregularOrdinals[last] ?? (last.hasSuffix("y") ? String(last.dropLast()) + "ieth" : last + "th")
    return (words + [ordinal]).joined(separator: " ")
  }

  /// A year: `nineteen eighty four`, `two thousand five`, `twenty twenty six`.
  public static func year(_ value: Int) -> String {
    let (century, rest) = (value / 100, value % 100)
    guard (1000..<10_000).contains(value), century % 10 != 0 || rest >= 10 else { return cardinal(value) }
    switch rest {
    case 0: return cardinal(century) + " hundred"
    case 1..<10: return cardinal(century) + " oh " + cardinal(rest)
    default: return cardinal(century) + " " + cardinal(rest)
    }
  }
}
