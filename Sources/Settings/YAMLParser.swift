import Base
import CYaml

/// libyaml's parser, event by event. Yams' own tree of nodes is not used: it is built before any limit can be looked at, and
/// building it takes longer than parsing.
struct YAMLParser: ~Copyable {
  enum Kind: Equatable {
    case document
    case scalar(String, isQuoted: Bool)
    case alias
    case sequence
    case mapping
    /// Ends the innermost list or mapping.
    case close
    case end
  }

  struct Event {
    var kind: Kind
    /// Of its first character.
    var position: SourcePosition
    /// What it is to be known by, or for an alias, what it stands for.
    var anchor: String?
  }

  /// Why the text is no YAML.
  struct Failure: Error {
    enum Place {
      case position(SourcePosition)
      case byte(Int)
    }
    var message: String
    var place: Place
  }

  /// The C structure points into itself, so it must not move.
  private let parser: UnsafeMutablePointer<yaml_parser_t>

  /// - Parameter text: UTF-8, which must outlive the parser.
  init(_ text: UnsafeBufferPointer<UInt8>) {
    parser = .allocate(capacity: 1)
    parser.initialize(to: yaml_parser_t())
    yaml_parser_initialize(parser)
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
    yaml_parser_set_input_string(parser, text.baseAddress, text.count)
  }

  deinit {
    yaml_parser_delete(parser)
    parser.deinitialize(count: 1)
    parser.deallocate()
  }

  mutating func next() throws(Failure) -> Event {
    while true {
      var event = yaml_event_t()
      guard yaml_parser_parse(parser, &event) == 1 else { throw failure }
      defer { yaml_event_delete(&event) }
      let position = Self.position(event.start_mark)
      switch event.type {
      case YAML_DOCUMENT_START_EVENT: return Event(kind: .document, position: position)
      case YAML_SCALAR_EVENT:
        let scalar = event.data.scalar
        let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
        // `!!str 5` says the same as quotes.
        let isQuoted =
          scalar.style != YAML_PLAIN_SCALAR_STYLE && scalar.style != YAML_ANY_SCALAR_STYLE
          || Self.text(scalar.tag) == "tag:yaml.org,2002:str"
        return Event(
          kind: .scalar(String(decoding: bytes, as: UTF8.self), isQuoted: isQuoted), position: position,
          anchor: Self.text(scalar.anchor))
      case YAML_ALIAS_EVENT:
        return Event(kind: .alias, position: position, anchor: Self.text(event.data.alias.anchor))
      case YAML_SEQUENCE_START_EVENT:
        return Event(kind: .sequence, position: position, anchor: Self.text(event.data.sequence_start.anchor))
      case YAML_MAPPING_START_EVENT:
        return Event(kind: .mapping, position: position, anchor: Self.text(event.data.mapping_start.anchor))
      case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT: return Event(kind: .close, position: position)
      case YAML_STREAM_END_EVENT, YAML_NO_EVENT: return Event(kind: .end, position: position)
      // The start of the stream and the end of the document say nothing.
      default: continue
      }
    }
  }

  private var failure: Failure {
    let state = parser.pointee
    let problem = state.problem.map { String(cString: $0) } ?? "the text cannot be read as YAML"
    if state.error == YAML_READER_ERROR { return Failure(message: problem, place: .byte(state.problem_offset)) }
    let context = state.context.map { " " + String(cString: $0) } ?? ""
    return Failure(message: problem + context, place: .position(Self.position(state.problem_mark)))
  }

  private static func text(_ pointer: UnsafeMutablePointer<UInt8>?) -> String? { pointer.map { String(cString: $0) } }

  private static func position(_ mark: yaml_mark_t) -> SourcePosition {
    SourcePosition(line: Int(mark.line) + 1, column: Int(mark.column) + 1)
  }
}
