/// A page of documentation, as tests see it: its fenced blocks, in order. Tests run what a page shows, so that it stays true.
///
/// A block whose first line is `# name.yaml` is that file. In a `console` block, a line `$ command` is followed by what the
/// command prints. A command whose line ends with a backslash goes on in the next.
public struct DocumentedPage: Sendable {
  public struct Block: Sendable {
    /// `yaml`, `console`; empty where the fence names none.
    public var language: String
    /// With a line feed at its end.
    public var text: String
    /// Of its first line, from 1.
    public var line: Int

    /// The file it shows; nil where the block does not begin with a comment that names one.
    public var file: String? {
      guard let first = text.split(separator: "\n").first, first.hasPrefix("# ") else { return nil }
      let name = first.dropFirst(2)
      return !name.contains(" ") && [".yaml", ".py"].contains { name.hasSuffix($0) } ? String(name) : nil
    }

    /// The commands and what each prints.
    public var commands: [(command: String, output: String)] {
      var commands: [(command: String, output: String)] = []
      for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
        if let last = commands.last, last.output.isEmpty, last.command.hasSuffix("\\") {
          commands[commands.count - 1].command += "\n" + line
        } else if line.hasPrefix("$ ") {
          commands.append((String(line.dropFirst(2)), ""))
        } else if !commands.isEmpty {
          commands[commands.count - 1].output += line + "\n"
        }
      }
      return commands
    }
  }

  public let blocks: [Block]

  public init(_ markdown: String) {
    var blocks: [Block] = []
    var open: Block?
    for (index, line) in markdown.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      if line.hasPrefix("```") {
        if let block = open {
          blocks.append(block)
          open = nil
        } else {
          open = Block(language: String(line.dropFirst(3)), text: "", line: index + 2)
        }
      } else {
        open?.text += line + "\n"
      }
    }
    self.blocks = blocks
  }
}
