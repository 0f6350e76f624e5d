import Audio
import Storage

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Makes the pieces of prompts on threads of its own: sentences, files, silence. One for the process.
final class PromptMaker: Sendable {
  /// Pieces that may wait for a thread: several for each of some hundred calls.
  static let queueLimit = 512
  /// Samples handed over at first, so that the voice begins at once, and later, so that few messages are needed.
  private static let firstChunk = 1_600
  private static let chunk = 8_000
  /// A WAV piece is handed over in steps of ten seconds.
  private static let fileChunk = 160_000

  private struct Job: Sendable {
    var piece: Piece
    /// Of a piece that was fetched.
    var bytes: [UInt8] = []
    var wanted: @Sendable () -> Bool
    var deliver: @Sendable (PieceEvent) -> Void
  }

  let synthesizer: any Synthesizer
  let cache: PromptCache
  private let audioRoot: String
  /// nil: sounds are files below `audioRoot`.
  private let sounds: ObjectShelf?
  private let workers: WorkerThreads<Job>

  init(
    synthesizer: any Synthesizer, cacheBytes: Int, audioRoot: String, sounds: ObjectShelf? = nil, threads: Int
  ) {
    self.synthesizer = synthesizer
    self.audioRoot = audioRoot
    self.sounds = sounds
    let cache = PromptCache(bytes: cacheBytes)
    self.cache = cache
    let maker = Work(synthesizer: synthesizer, cache: cache)
    workers = WorkerThreads(count: threads, niceness: 4, limit: Self.queueLimit) { next in
      while let job = next({ _ in false }) {
        if job.wanted() { maker.perform(job) }
      }
    }
  }

  func shutdown() { _ = workers.close() }

  /// Begins to make `piece`; what it becomes goes to `deliver`, on any thread, in order. Returns at once.
  /// - Returns: whether the piece was in the cache.
  @discardableResult
  func make(
    _ piece: Piece, wanted: @escaping @Sendable () -> Bool, deliver: @escaping @Sendable (PieceEvent) -> Void
  ) -> Bool {
    switch piece {
    case .text(let request, _):
      if let sound = cache.find(request) {
        deliver(.chunk(sound.samples, sound.words))
        deliver(.done)
        return true
      }
    case .silence(let samples):
      deliver(.chunk([Int16](repeating: 0, count: samples), []))
      deliver(.done)
      return true
    case .object(let key):
      fetch(key, Job(piece: piece, wanted: wanted, deliver: deliver))
      return false
    case .file: break
    }
    submit(Job(piece: piece, wanted: wanted, deliver: deliver))
    return false
  }

  private func submit(_ job: Job) {
    if !workers.submit(job) { job.deliver(.failed("too many prompts are waiting to be made")) }
  }

  /// Nothing waits for the store but the prompt.
  private func fetch(_ key: ObjectKey, _ job: Job) {
    guard let sounds else { return job.deliver(.failed("no object store is configured")) }
    Task {
      var job = job
      do throws(ObjectError) {
        job.bytes = try await sounds.bytes(of: key)
        submit(job)
      } catch {
        job.deliver(.failed(error.description))
      }
    }
  }

  /// The sound that `url` names: an object of the store, or a readable file below the audio folder.
  func sound(_ url: String) -> Result<Piece, SynthesisError> {
    if url.hasPrefix("http://") || url.hasPrefix("https://") {
      return .failure(SynthesisError("audio over http is not supported yet; play a file below the audio folder"))
    }
    guard let sounds else { return file(url).map { .file($0) } }
    if url.hasPrefix("file://") || url.hasPrefix("/") {
      return .failure(SynthesisError("'\(url)' is a file, and sounds lie in \(sounds.place): write its name there"))
    }
    let place = sounds.place + "/"
    if url.hasPrefix("s3://"), !url.hasPrefix(place) {
      return .failure(SynthesisError("'\(url)' does not lie in \(sounds.place)"))
    }
    do {
      return .success(.object(try ObjectKey(url.hasPrefix(place) ? String(url.dropFirst(place.count)) : url)))
    } catch {
      return .failure(SynthesisError("'\(url)' names no sound: \(error)"))
    }
  }

  private func file(_ url: String) -> Result<String, SynthesisError> {
    guard !audioRoot.isEmpty, let root = Self.canonical(audioRoot) else {
      return .failure(SynthesisError("no audio folder is configured, so no file can be played"))
    }
    var path = url.hasPrefix("file://") ? String(url.dropFirst(7)) : url
    if !path.hasPrefix("/") { path = "\(root)/\(path)" }
    guard let real = Self.canonical(path) else { return .failure(SynthesisError("there is no audio file '\(url)'")) }
    guard real.hasPrefix(root == "/" ? "/" : root + "/") else {
      return .failure(SynthesisError("the audio file '\(url)' lies outside the audio folder"))
    }
    return .success(real)
  }

  /// The path without links and dots; nil where there is no such file.
  private static func canonical(_ path: String) -> String? {
    guard !path.utf8.contains(0), let real = realpath(path, nil) else { return nil }
    defer { free(real) }
    return String(cString: real)
  }

  /// What the threads do; apart from the queue, so that they do not keep it alive.
  private struct Work: Sendable {
    let synthesizer: any Synthesizer
    let cache: PromptCache

    func perform(_ job: Job) {
      switch job.piece {
      case .text(let request, let cached): speak(request, cached: cached, job.wanted, job.deliver)
      case .file(let path): read(job) { () throws(AudioError) in try WAVClip.read(path: path) }
      case .object(let key): read(job) { () throws(AudioError) in try WAVClip.parse(job.bytes, name: "\(key)") }
      case .silence: job.deliver(.done)
      }
    }

    private func speak(
      _ request: SynthesisRequest, cached: Bool, _ wanted: () -> Bool, _ deliver: (PieceEvent) -> Void
    ) {
      var whole = Sound(samples: [], words: [])
      var sent = 0
      var sentWords = 0
      var complete = true
      do {
        try synthesizer.synthesize(request) { samples, words in
          whole.samples.append(contentsOf: samples)
          whole.words.append(contentsOf: words)
          if whole.samples.count - sent >= (sent == 0 ? PromptMaker.firstChunk : PromptMaker.chunk) {
            deliver(.chunk(Array(whole.samples[sent...]), Array(whole.words[sentWords...])))
            sent = whole.samples.count
            sentWords = whole.words.count
          }
          complete = wanted()
          return complete
        }
      } catch {
        deliver(.failed(error.message))
        return
      }
      if sent < whole.samples.count || sentWords < whole.words.count {
        deliver(.chunk(Array(whole.samples[sent...]), Array(whole.words[sentWords...])))
      }
      if complete, cached { cache.keep(whole, for: request) }
      deliver(.done)
    }

    private func read(_ job: Job, _ clip: () throws(AudioError) -> WAVClip) {
      let samples: [Int16]
      do {
        samples = try clip().mono(at: 16_000)
      } catch {
        job.deliver(.failed("\(error)"))
        return
      }
      var at = 0
      while at < samples.count, job.wanted() {
        let end = min(samples.count, at + PromptMaker.fileChunk)
        job.deliver(.chunk(Array(samples[at..<end]), []))
        at = end
      }
      job.deliver(.done)
    }
  }
}
