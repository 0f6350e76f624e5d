#if Cluster
  import Base
  import CallCustody
  import CallLink
  import NIOConcurrencyHelpers

  // Three roles as small as they can be: keys go to the right, each is answered by a prompt that comes back as a playback.

  /// Remembers the keys, and says one prompt for each.
  struct TestRuntime: KeptRuntimeHop {
    let process: TestProcess
    init(_ process: TestProcess) { self.process = process }

    func open(_ call: CallInfo, speech: any HopSink<RuntimeToSpeech>) -> any HopSink<SpeechToRuntime> {
      ClosureSink { _ in }
    }

    func open(
      _ call: CallInfo, speech: any HopSink<RuntimeToSpeech>, state: CallState
    ) throws(CallStateError) -> any KeptSide<SpeechToRuntime> {
      if state.kept == Array("damaged".utf8) { throw CallStateError("it is damaged") }
      return Session(
        speech: speech, custodian: state.custodian, keys: String(decoding: state.kept ?? [], as: UTF8.self))
    }

    private final class Session: KeptSide {
      private let speech: any HopSink<RuntimeToSpeech>
      private let custodian: any CallCustodian
      private let keys: NIOLockedValueBox<String>

      init(speech: any HopSink<RuntimeToSpeech>, custodian: any CallCustodian, keys: String) {
        self.speech = speech
        self.custodian = custodian
        self.keys = NIOLockedValueBox(keys)
      }

      func send(_ message: Numbered<SpeechToRuntime>) {
        keys.withLockedValue { keys in
          switch message.message {
          case .answered: break
          case .digit(let key, _, _):
            keys.append(key)
            // The prompt says everything that has been heard: a lost or repeated key would be seen.
            let id = PlaybackID(UInt32(keys.count))
            speech.send(Numbered(0, .say(Prompt(id: id, source: .text(keys)))))
          case .ended:
            custodian.keep(Array(keys.utf8), handled: CallPlace(left: message.sequence))
            return custodian.finished()
          default: break
          }
          custodian.keep(Array(keys.utf8), handled: CallPlace(left: message.sequence))
        }
      }

      func abandon() {}
    }
  }

  /// Passes everything on; remembers the prompts that were said, to show that its own state comes back.
  struct TestSpeech: KeptSpeechHop {
    let process: TestProcess
    init(_ process: TestProcess) { self.process = process }

    func open(_ call: CallInfo, media: any MediaSide) -> any SpeechSide { Nobody() }

    func open(
      _ call: CallInfo, media: any MediaSide, runtime: any HopSink<SpeechToRuntime>, state: CallState
    ) throws(CallStateError) -> any KeptSpeechSide {
      Pipeline(
        media: media, runtime: runtime, custodian: state.custodian,
        texts: String(decoding: state.kept ?? [], as: UTF8.self).split(separator: ",").map { String($0) })
    }

    private struct Nobody: SpeechSide {
      func send(_ message: Numbered<MediaToSpeech>) {}
      func audio(_ pcm: UnsafeBufferPointer<Int16>, position: Int64) {}
    }

    private final class Pipeline: KeptSpeechSide {
      private struct State {
        var texts: [String]
        var place = CallPlace()
        var heard: Int64 = 0
      }
      private let media: any MediaSide
      private let runtime: any HopSink<SpeechToRuntime>
      private let custodian: any CallCustodian
      private let state: NIOLockedValueBox<State>

      init(media: any MediaSide, runtime: any HopSink<SpeechToRuntime>, custodian: any CallCustodian, texts: [String]) {
        self.media = media
        self.runtime = runtime
        self.custodian = custodian
        state = NIOLockedValueBox(State(texts: texts))
      }

      func mediaReplaced() {}
      var heardFrom: Int64 { state.withLockedValue { $0.heard } }
      var fromRuntime: any HopSink<RuntimeToSpeech> { ClosureSink { [self] in receive($0) } }

      func audio(_ pcm: UnsafeBufferPointer<Int16>, position: Int64) {
        state.withLockedValue { $0.heard = position + Int64(pcm.count) }
      }

      func send(_ message: Numbered<MediaToSpeech>) {
        state.withLockedValue { state in
          state.place.left = message.sequence
          switch message.message {
          case .answered: runtime.send(Numbered(0, .answered))
          case .digit(let key, let durationMs): runtime.send(Numbered(0, .digit(key, durationMs: durationMs, atMs: 0)))
          case .ended(let reason): runtime.send(Numbered(0, .ended(reason)))
          default: break
          }
          keep(state)
          if case .ended = message.message { custodian.finished() }
        }
      }

      private func receive(_ message: Numbered<RuntimeToSpeech>) {
        state.withLockedValue { state in
          state.place.right = message.sequence
          if case .say(let prompt) = message.message, case .text(let text) = prompt.source {
            state.texts.append(text)
            // The place of the text among all that were said: shows what this process remembers.
            media.send(Numbered(0, .sendDigits(text, durationMs: state.texts.count)))
          }
          if case .hangup(let reason, _) = message.message { media.send(Numbered(0, .hangup(reason))) }
          keep(state)
        }
      }

      private func keep(_ state: State) {
        custodian.keep(Array(state.texts.joined(separator: ",").utf8), handled: state.place)
      }

      func abandon() {}
    }
  }

  /// Calls in the media role: what came back to each, and a way to press keys.
  final class TestMedia: MediaSuccessor {
    private struct Phone {
      var speech: any SpeechSide
      var custodian: any CallCustodian
      var place: UInt64
      var isAbandoned = false
    }
    private let process: TestProcess
    private let custody: MediaCustody
    private let phones = NIOLockedValueBox<[SessionID: Phone]>([:])
    /// What has come back, by call: `texts@how many`, and `hangup`.
    let heard = NIOLockedValueBox<[SessionID: [String]]>([:])

    init(_ process: TestProcess, _ custody: MediaCustody) {
      self.process = process
      self.custody = custody
    }

    var room: Int { 1_000 }
    func has(_ session: SessionID) -> Bool { phones.withLockedValue { $0[session]?.isAbandoned == false } }

    func call(_ session: SessionID) {
      begin(TestMedia.info(session), resuming: false)
      tell(session, .answered)
    }

    static func info(_ session: SessionID) -> CallInfo {
      CallInfo(
        session: session, direction: .inbound, callerID: "ann", calledNumber: "100", fromURI: "sip:ann@a",
        toURI: "sip:100@b", headers: [("X-One", "1")])
    }

    private func begin(_ info: CallInfo, resuming: Bool) {
      let side = Side(media: self, session: info.session)
      let (speech, custodian) = custody.open(info, media: side, resuming: resuming)
      phones.withLockedValue { $0[info.session] = Phone(speech: speech, custodian: custodian, place: 0) }
      process.bell.ring()
    }

    func tell(_ session: SessionID, _ message: MediaToSpeech) {
      phones.withLockedValue { phones in
        guard let phone = phones[session] else { return }
        phone.speech.send(Numbered(0, message))
        phone.custodian.keep(Array("live".utf8), handled: CallPlace(right: phone.place))
        if case .ended = message { phone.custodian.finished() }
      }
    }

    /// Returns when what was heard so far is remembered: whoever goes on with the call does not hear it again.
    func remembered(_ session: SessionID) async {
      guard let phone = phones.withLockedValue({ $0[session] }) else { return }
      await withCheckedContinuation { continuation in phone.custodian.afterKept { continuation.resume() } }
    }

    func takeOver(_ call: CallInfo, state: [UInt8]) async -> Bool {
      guard state == Array("live".utf8) else { return false }
      begin(call, resuming: true)
      return true
    }

    private func receive(_ message: Numbered<SpeechToMedia>, _ session: SessionID) {
      guard process.isAlive else { return }
      phones.withLockedValue { phones in
        phones[session]?.place = message.sequence
        if let phone = phones[session] {
          phone.custodian.keep(Array("live".utf8), handled: CallPlace(right: message.sequence))
        }
      }
      heard.withLockedValue { heard in
        switch message.message {
        case .sendDigits(let text, let count): heard[session, default: []].append("\(text)@\(count)")
        case .hangup: heard[session, default: []].append("hangup")
        default: break
        }
      }
      process.bell.ring()
    }

    private struct Side: KeptMediaSide {
      let media: TestMedia
      let session: SessionID
      func send(_ message: Numbered<SpeechToMedia>) { media.receive(message, session) }
      func audio(_ pcm: UnsafeBufferPointer<Int16>, playback: PlaybackID) -> Int { pcm.count }
      func abandon() { media.phones.withLockedValue { $0[session]?.isAbandoned = true } }
    }
  }
#endif
