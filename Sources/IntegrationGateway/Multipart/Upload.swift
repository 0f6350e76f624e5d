import Base
import HTTPTypes
import HummingbirdCore
import NIOCore

/// A file that came with a request, and the fields beside it.
struct Upload: Sendable {
  var file: [UInt8]
  var fields: [String: Value]

  /// What a route takes.
  struct Shape: Sendable {
    /// The form's part that holds the file.
    var part: String
    /// Media types of a body that is the file itself; its fields stand in the query then.
    var types: [String]
    var limit: Int
    var fields: [APIRoute.Field]

    var payload: APIRoute.Payload { .file(part: part, types: types, limit: limit) }
  }

  /// A field's text is a name, a tag or a list of phrases.
  private static let fieldBytes = 16 * 1024

  /// Reads the body, for which a connection has its time.
  static func read(_ request: APIRequest, _ shape: Shape) async throws -> Upload {
    // A form is a little longer than what is in it.
    let most = shape.limit + 64 * 1024
    if let text = request.headers[.contentLength], let length = Int(text), length > most { throw tooLarge(shape) }
    let type = request.headers[.contentType] ?? ""
    let name = HeaderValue(type)?.value.lowercased() ?? ""
    if name == "multipart/form-data" { return try await readForm(request, shape, type: type, most: most) }
    guard shape.types.contains(name) else {
      let known = (["multipart/form-data"] + shape.types).joined(separator: ", ")
      throw APIProblem(
        .unsupportedMediaType, "unsupported_media_type",
        name.isEmpty
          ? "say in Content-Type what the body is: \(known)" : "a body of `\(name)` is not taken here; known: \(known)")
    }
    var file: [UInt8] = []
    for try await bytes in request.upload {
      guard file.count + bytes.readableBytes <= shape.limit else { throw tooLarge(shape) }
      file += bytes.readableBytesView
    }
    return Upload(file: file, fields: request.query)
  }

  private static func readForm(
    _ request: APIRequest, _ shape: Shape, type: String, most: Int
  ) async throws -> Upload {
    var form = Form(shape)
    do {
      var parser = try MultipartParser(contentType: type, limits: .init(bytes: most))
      for try await bytes in request.upload {
        for event in try parser.receive(bytes) { try form.take(event) }
      }
      try parser.finish()
    } catch let error as MultipartParser.Malformed {
      if error.code == .tooLarge { throw APIProblem(.contentTooLarge, "too_large", error.description) }
      throw APIProblem.badRequest(error.description)
    }
    guard let file = form.file else {
      throw APIProblem.badRequest("`\(shape.part)` is missing: the form's part with the file")
    }
    var fields = try APIInput.form(form.fields, shape.fields)
    fields.merge(request.query) { form, _ in form }
    return Upload(file: file, fields: fields)
  }

  fileprivate static func tooLarge(_ shape: Shape) -> APIProblem {
    APIProblem(.contentTooLarge, "too_large", "a file has at most \(shape.limit >> 20) MiB here")
  }

  /// A form's parts, gathered.
  private struct Form {
    let shape: Shape
    var file: [UInt8]?
    var fields: [(name: String, text: String)] = []
    private var open: (name: String, bytes: [UInt8]) = ("", [])

    init(_ shape: Shape) { self.shape = shape }

    mutating func take(_ event: MultipartParser.Event) throws {
      switch event {
      case .part(let name, _, _):
        if name == shape.part, file != nil { throw APIProblem.badRequest("`\(name)` stands twice") }
        open = (name, [])
      case .content(let bytes):
        if open.name == shape.part {
          guard open.bytes.count + bytes.readableBytes <= shape.limit else { throw Upload.tooLarge(shape) }
        } else if open.bytes.count + bytes.readableBytes > Upload.fieldBytes {
          throw APIProblem(.contentTooLarge, "too_large", "`\(open.name)` has more than \(Upload.fieldBytes) bytes")
        }
        open.bytes += bytes.readableBytesView
      case .partEnd:
        if open.name == shape.part {
          file = open.bytes
        } else if let text = String(validating: open.bytes, as: UTF8.self) {
          fields.append((open.name, text))
        } else {
          throw APIProblem.badRequest("`\(open.name)` is not UTF-8")
        }
        open = ("", [])
      }
    }
  }
}

extension APIInput {
  /// The fields of a form. A list is one field with commas, or a field for each of its items.
  static func form(_ pairs: [(name: String, text: String)], _ fields: [APIRoute.Field]) throws(APIProblem) -> [String:
    Value]
  {
    var values: [String: Value] = [:]
    for (name, text) in pairs {
      let field = try field(named: name, in: fields, place: "field")
      let value = try check(typed(text, field), field)
      switch (values[name], value) {
      case (nil, _): values[name] = value
      case (.list(let before)?, .list(let more)): values[name] = .list(before + more)
      default: throw .badRequest("`\(name)` stands twice")
      }
    }
    return try complete(values, fields)
  }
}
