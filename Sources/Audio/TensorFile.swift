import Base

/// The named 32-bit float tensors of a model file: just enough of ONNX (protobuf) and safetensors to find weights.
/// Nothing in the file is trusted: every length is checked against what is there.
struct TensorFile {
  struct Tensor {
    var shape: [Int]
    /// Where its little-endian floats lie in the file.
    var range: Range<Int>
  }

  /// The known networks have fifteen tensors; a file with more than this is something else.
  static let tensorLimit = 1024
  /// Convolutions have three dimensions.
  static let dimensionLimit = 8

  let path: String
  let bytes: [UInt8]
  private(set) var tensors: [String: Tensor] = [:]

  init(path: String, bytes: [UInt8]) throws(AudioError) {
    self.path = path
    self.bytes = bytes
    // safetensors: 8 bytes of header length, then JSON. An ONNX file begins with a protobuf field tag.
    if bytes.count > 8, bytes[8] == UInt8(ascii: "{") {
      try readSafetensors()
    } else {
      try readONNX()
    }
  }

  /// Copies a tensor of exactly this shape.
  func floats(_ name: String, shape: [Int]) throws(AudioError) -> [Float] {
    guard let tensor = tensors[name] else {
      throw AudioError(.unsupported, "\(path) is not the expected network: it has no tensor \(name).")
    }
    guard tensor.shape == shape else {
      throw AudioError(
        .unsupported, "\(path) is not the expected network: \(name) has shape \(tensor.shape), not \(shape).")
    }
    let count = shape.reduce(1, *)
    guard tensor.range.count == 4 * count else {
      throw AudioError(.malformed, "\(path) is damaged: \(name) has \(tensor.range.count) bytes, not \(4 * count).")
    }
    let values = bytes.withUnsafeBytes { all in
      (0..<count).map { i in
        let bits = all.loadUnaligned(fromByteOffset: tensor.range.lowerBound + 4 * i, as: UInt32.self)
        return Float(bitPattern: UInt32(littleEndian: bits))
      }
    }
    guard values.allSatisfy(\.isFinite) else {
      throw AudioError(.malformed, "\(path) is damaged: \(name) holds values that are no numbers.")
    }
    return values
  }

  private func damaged(_ what: String) -> AudioError {
    AudioError(.malformed, "\(path) is no model file that can be read: \(what).")
  }

  // MARK: safetensors

  private mutating func readSafetensors() throws(AudioError) {
    let length = bytes.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) }
    guard length <= UInt64(bytes.count - 8) else { throw damaged("its header is cut off") }
    let data = 8 + Int(length)
    let header: Value
    do {
      header = try JSON.decode(Array(bytes[8..<data]))
    } catch {
      throw damaged("its header is \(error)")
    }
    guard case .map(let entries) = header, entries.count <= TensorFile.tensorLimit else {
      throw damaged("its header is no table of tensors")
    }
    for (name, entry) in entries where entry["dtype"]?.stringValue == "F32" {
      guard case .list(let shape)? = entry["shape"], case .list(let offsets)? = entry["data_offsets"],
        let from = offsets.first?.intValue, let to = offsets.last?.intValue, from >= 0, to >= from,
        to <= bytes.count - data, shape.count <= TensorFile.dimensionLimit
      else { throw damaged("the place of \(name) is outside the file") }
      tensors[name] = Tensor(
        shape: shape.map { Int(clamping: $0.intValue ?? -1) }, range: data + Int(from)..<data + Int(to))
    }
  }

  // MARK: ONNX

  private mutating func readONNX() throws(AudioError) {
    // ModelProto.graph = 7, GraphProto.initializer = 5 (onnx.proto3).
    var model = Fields(bytes: bytes, range: bytes.indices)
    while let field = try next(&model) {
      guard field.number == 7, case .bytes(let graphRange) = field.content else { continue }
      var graph = Fields(bytes: bytes, range: graphRange)
      while let field = try next(&graph) {
        guard field.number == 5, case .bytes(let range) = field.content else { continue }
        guard tensors.count < TensorFile.tensorLimit else { throw damaged("it has too many tensors") }
        try readTensor(range)
      }
    }
    if tensors.isEmpty { throw damaged("it holds no tensors") }
  }

  private mutating func readTensor(_ range: Range<Int>) throws(AudioError) {
    // TensorProto: dims = 1, data_type = 2 (1 is FLOAT), float_data = 4, name = 8, raw_data = 9.
    var fields = Fields(bytes: bytes, range: range)
    var shape: [Int] = []
    var type: UInt64 = 0
    var name = ""
    var data: Range<Int>?
    while let field = try next(&fields) {
      switch (field.number, field.content) {
      case (1, .number(let dimension)): shape.append(Int(clamping: dimension))
      case (1, .bytes(let packed)):
        var reader = Fields(bytes: bytes, range: packed)
        while !reader.isAtEnd, shape.count <= TensorFile.dimensionLimit {
          guard let dimension = reader.varint() else { throw damaged("a number is cut off") }
          shape.append(Int(clamping: dimension))
        }
      case (2, .number(let value)): type = value
      case (8, .bytes(let text)): name = String(decoding: bytes[text], as: UTF8.self)
      case (4, .bytes(let floats)), (9, .bytes(let floats)): data = floats
      default: break
      }
      guard shape.count <= TensorFile.dimensionLimit else { throw damaged("a tensor has too many dimensions") }
    }
    if type == 1, let data, !name.isEmpty { tensors[name] = Tensor(shape: shape, range: data) }
  }

  private func next(_ fields: inout Fields) throws(AudioError) -> Field? {
    if fields.isAtEnd { return nil }
    guard let field = fields.next() else { throw damaged("a field is cut off at byte \(fields.at)") }
    return field
  }

  private struct Field {
    enum Content {
      case number(UInt64)
      case bytes(Range<Int>)
      case fixed
    }
    var number: UInt64
    var content: Content
  }

  /// The fields of one protobuf message, one after the other.
  private struct Fields {
    let bytes: [UInt8]
    var at: Int
    let end: Int

    init(bytes: [UInt8], range: Range<Int>) {
      self.bytes = bytes
      at = range.lowerBound
      end = range.upperBound
    }

    var isAtEnd: Bool { at >= end }

    mutating func varint() -> UInt64? {
      var value: UInt64 = 0
      for shift in stride(from: UInt64(0), to: 70, by: 7) {
        guard at < end else { return nil }
        let byte = bytes[at]
        at += 1
        value |= UInt64(byte & 0x7F) << shift
        if byte < 0x80 { return value }
      }
      return nil
    }

    mutating func next() -> Field? {
      guard let tag = varint() else { return nil }
      switch tag & 7 {
      case 0:
        guard let value = varint() else { return nil }
        return Field(number: tag >> 3, content: .number(value))
      case 1: return fixed(8, tag)
      case 5: return fixed(4, tag)
      case 2:
        guard let length = varint(), length <= UInt64(end - at) else { return nil }
        let range = at..<at + Int(length)
        at = range.upperBound
        return Field(number: tag >> 3, content: .bytes(range))
      default: return nil
      }
    }

    private mutating func fixed(_ length: Int, _ tag: UInt64) -> Field? {
      guard end - at >= length else { return nil }
      at += length
      return Field(number: tag >> 3, content: .fixed)
    }
  }
}
