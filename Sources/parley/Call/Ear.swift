import Audio
import Base
import CPocketSphinx
import Dispatch
import Glibc

/// The caller's own recogniser: PocketSphinx over whole sentences, with general English, or with a model of the prompts it has
/// been told to expect. It shares no code and no grammar with the gateway's, so what it understands is evidence.
final class Ear: Sendable {
  /// Louder silence does not help; this much is put on both sides of what is decoded (8 kHz samples).
  private static let margin = 1600

  private let queue = DispatchQueue(label: "parley.ear")
  // Used on `queue` only, which runs one block at a time.
  private nonisolated(unsafe) let decoder: OpaquePointer

  /// - Parameters:
  ///   - model: the folder with `en-us/`, `en-us.lm.bin` and `cmudict-en-us.dict`.
  ///   - hints: sentences the other side may say; empty for general English.
  init(model: String, hints: [[String]]) throws {
    err_set_logfp(nil)
    var languageModel = "\(model)/en-us.lm.bin"
    var temporary: String?
    if !hints.isEmpty {
      let arpa = BigramModel(sentences: hints).arpa(log10: Glibc.log10)
      var name = Array("/tmp/parley-ear-XXXXXX".utf8CString)
      let file = mkstemp(&name)
      guard file >= 0 else { throw CallerError("cannot make a temporary file for the caller's language model") }
      defer { close(file) }
      let bytes = Array(arpa.utf8)
      guard write(file, bytes, bytes.count) == bytes.count else {
        throw CallerError("cannot write the caller's language model")
      }
      languageModel = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
      temporary = languageModel
    }
    defer { if let temporary { unlink(temporary) } }
    let arguments = [
      "ear", "-hmm", "\(model)/en-us", "-lm", languageModel, "-dict", "\(model)/cmudict-en-us.dict", "-bestpath", "no",
    ]
    var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
    defer { for pointer in pointers { free(pointer) } }
    guard let configuration = cmd_ln_parse_r(nil, ps_args(), Int32(pointers.count), &pointers, 1) else {
      throw CallerError("the recogniser does not accept its settings")
    }
    defer { cmd_ln_free_r(configuration) }
    guard let decoder = ps_init(configuration) else {
      throw CallerError("no speech model below \(model): install pocketsphinx-en-us, or use --deaf")
    }
    self.decoder = decoder
  }

  deinit { ps_free(decoder) }

  /// Understands 8 kHz samples on the ear's own thread; `done` is called there.
  func understand(_ samples: [Int16], done: @escaping @Sendable (String) -> Void) {
    queue.async { done(self.decode(samples)) }
  }

  /// Returns when everything handed over before has been understood.
  func wait() { queue.sync {} }

  private func decode(_ samples: [Int16]) -> String {
    let silence = [Int16](repeating: 0, count: Self.margin)
    guard let wide = try? Resampler.convert(silence + samples + silence, from: 8000, to: 16000),
      ps_start_utt(decoder) == 0
    else { return "" }
    _ = wide.withUnsafeBufferPointer { ps_process_raw(decoder, $0.baseAddress, $0.count, 0, 1) }
    var score: Int32 = 0
    guard ps_end_utt(decoder) == 0, let words = ps_get_hyp(decoder, &score) else { return "" }
    return String(cString: words)
  }
}

/// Sentences out of texts that a person wrote: lower-case words, numbers as they are spoken, templates left out.
func spokenSentences(_ text: String) -> [[String]] {
  var plain = ""
  var rest = text[...]
  while let open = rest.firstRange(of: "{{") {
    plain += rest[..<open.lowerBound] + " . "
    rest = rest[open.upperBound...]
    rest = rest.firstRange(of: "}}").map { rest[$0.upperBound...] } ?? ""
  }
  plain += rest
  let digits = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
  return plain.lowercased().split { ".?!:;\n".contains($0) }.map { sentence in
    sentence.split { !$0.isLetter && !$0.isNumber && $0 != "'" }.flatMap { word -> [String] in
      word.allSatisfy(\.isWholeNumber) ? word.compactMap { $0.wholeNumberValue.map { digits[$0] } } : [String(word)]
    }
  }.filter { !$0.isEmpty }
}
