import ArgumentParser
import Audio
import Base
import FoundationEssentials
import Glibc
import MediaIO
import SIP
import Settings
import SpeechGateway

/// `parley call`: places a real SIP call, speaks, hears, records, measures.
struct CallCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "call", abstract: "Place a SIP call, speak, and print what is heard.",
    discussion: """
      The caller speaks when the other side has been quiet for a moment. Its turns are taken in this order: every --say, then \
      every --wav, then --dtmf. A --say of the form '#123' presses keys and '@file.wav' plays a file, where the order matters. \
      Response times are measured on the recording: from the last sound of the caller to the first sound of the answer. \
      Exit status: 0 when the call was answered and every --expect was heard, 3 when not, 1 when no call could be placed.
      """)

  @Argument(help: "Whom to call: sip:user@host[:port].") var uri: String
  @Option(help: ArgumentHelp("Say this when it is the caller's turn; repeatable.", valueName: "text")) var say:
    [String] = []
  @Option(help: ArgumentHelp("Play this WAV file as a turn; repeatable.", valueName: "file")) var wav: [String] = []
  @Option(help: ArgumentHelp("Press these keys (0-9 * # A-D) as the last turn.", valueName: "digits")) var dtmf: String?
  @Option(help: ArgumentHelp("Write a stereo WAV: left the caller, right the gateway.", valueName: "file.wav"))
  var record: String?
  @Option(help: ArgumentHelp("Must match something heard (case ignored); repeatable.", valueName: "regex"))
  var expect: [String] = []
  @Option(help: "PCMU or PCMA.") var codec = "PCMU"
  @Option(help: "The caller's voice: slt, rms, awb or kal16.") var voice = "rms"
  @Option(
    help: ArgumentHelp(
      "Dialog (.yaml) or text file with what may be heard; makes hearing surer; repeatable.", valueName: "file"))
  var hints: [String] = []
  @Option(help: ArgumentHelp("WAV file looped under everything the caller sends.", valueName: "file")) var background:
    String?
  @Option(help: ArgumentHelp("Silence that makes it the caller's turn.", valueName: "ms")) var pause = 700
  @Option(
    help: ArgumentHelp("Take the first turn this long after the first sound, not after its end.", valueName: "ms"))
  var interrupt: Int?
  @Option(help: ArgumentHelp("Go on when nothing was heard for this long.", valueName: "ms")) var patience = 8000
  @Option(help: ArgumentHelp("Place this many calls at once (1 to 500); prints a summary.", valueName: "n")) var calls =
    1
  @Option(help: ArgumentHelp("Begin the calls of --calls this far apart.", valueName: "ms")) var stagger = 0
  @Option(help: ArgumentHelp("End a call after this long.", valueName: "s")) var limit = 180
  @Option(help: ArgumentHelp("The user part of From.", valueName: "name")) var from = "caller"
  @Option(help: ArgumentHelp("Folder with the speech model for the caller's ear.", valueName: "folder"))
  var modelDir = "/usr/share/pocketsphinx/model/en-us"
  @Flag(help: "Do not try to understand what is heard.") var deaf = false
  @Flag(help: "Hang up after the last turn has been answered.") var hangup = false
  @Flag(help: "Print one JSON object at the end instead of a conversation.") var json = false

  func validate() throws {
    guard (1...500).contains(calls) else { throw ValidationError("--calls must be 1 to 500.") }
    guard codec == "PCMU" || codec == "PCMA" else { throw ValidationError("--codec must be PCMU or PCMA.") }
    guard (100...10_000).contains(pause), patience >= pause else {
      throw ValidationError("--pause must be 100 to 10000 ms, and --patience not shorter.")
    }
    for pattern in expect where (try? Regex(pattern)) == nil {
      throw ValidationError("--expect '\(pattern)' is not a regular expression.")
    }
    if deaf, !expect.isEmpty { throw ValidationError("--expect needs an ear; leave --deaf out.") }
  }

  func run() throws {
    let plan: CallerPlan
    let ear: Ear?
    do {
      plan = try makePlan()
      ear = deaf || calls > 1 && expect.isEmpty ? nil : try Ear(model: modelDir, hints: try hints.flatMap(readHints))
    } catch {
      throw CommandFailure("\(error)")
    }
    let crew = CallerCrew(plan: plan, count: calls, staggerMs: stagger, ear: ear, isQuiet: json || calls > 1)
    let reports: [CallReport]
    do { reports = try crew.run() } catch { throw CommandFailure("\(error)") }

    if let record {
      do {
        let file = try WAVWriter(path: record, sampleRate: CallRecording.rate, channels: 2)
        try reports[0].recording.write(to: file)
      } catch {
        throw CommandFailure("\(error)")
      }
    }
    let heard = reports.flatMap(\.heard).map(\.text).joined(separator: "\n")
    let unmet = expect.filter { pattern in
      guard let regex = try? Regex(pattern).ignoresCase() else { return true }
      return heard.firstMatch(of: regex) == nil
    }
    let unanswered = reports.filter { $0.outcome.answerMs == nil }
    if json {
      let values = reports.map(\.json)
      printLine(JSON.encode(calls == 1 ? values[0] : ["calls": .list(values), "summary": CallReport.summary(reports)]))
    } else {
      printLine(calls == 1 ? reports[0].text : CallReport.summaryText(reports))
    }
    if let first = unanswered.first {
      printError(
        "\(unanswered.count == 1 ? "the call was" : "\(unanswered.count) calls were") not answered"
          + (first.outcome.status > 0 ? ": \(first.outcome.status) \(first.outcome.reason)" : ""))
    }
    for pattern in unmet { printError("nothing heard matches '\(pattern)'") }
    if !unmet.isEmpty || !unanswered.isEmpty { throw CommandFailure("", exitCode: CommandFailure.notAsExpected) }
  }

  private func makePlan() throws -> CallerPlan {
    guard let target = SIPURI(uri), target.user != nil else {
      throw CallerError("'\(uri)' is not a SIP address like sip:helpdesk@127.0.0.1:5060")
    }
    let transport = target.transportName ?? "udp"
    guard target.scheme == .sip, transport == "udp" else { throw CallerError("this caller speaks SIP over UDP only") }
    var turns = try (say + wav.map { "@" + $0 }).map { item -> CallerTurn in
      if item.hasPrefix("#") { return try press(String(item.dropFirst())) }
      if item.hasPrefix("@") { return try .speak(telephone(String(item.dropFirst())), text: String(item.dropFirst())) }
      return try .speak(Resampler.convert(Voices.synthesize(item, voice: voice), from: 16_000, to: 8_000), text: item)
    }
    if let dtmf { turns.append(try press(dtmf)) }
    var plan = CallerPlan(
      target: target, gateway: SIPHostPort(host: try resolve(target.host), port: target.port ?? 5060), turns: turns,
      law: codec == "PCMA" ? .alaw : .ulaw)
    if let background { plan.background = try telephone(background) }
    plan.pauseMs = pause
    plan.interruptMs = interrupt
    plan.patienceMs = patience
    plan.hangsUpFirst = hangup
    plan.limitMs = limit * 1000
    plan.fromUser = from
    return plan
  }

  private func press(_ digits: String) throws -> CallerTurn {
    guard !digits.isEmpty, digits.allSatisfy({ "0123456789*#ABCDabcd".contains($0) }) else {
      throw CallerError("'\(digits)' are not keys: 0-9, *, #, A-D")
    }
    return .press(digits)
  }

  private func telephone(_ path: String) throws -> [Int16] { try WAVClip.read(path: path).mono(at: 8_000) }

  private func readHints(_ path: String) throws -> [[String]] {
    guard path.hasSuffix(".yaml") || path.hasSuffix(".yml") else {
      guard let bytes = try? Data(contentsOf: URL(filePath: path)) else { throw CallerError("cannot read \(path)") }
      return spokenSentences(String(decoding: bytes, as: UTF8.self))
    }
    return texts(in: try YAML.load(path: path)).flatMap(spokenSentences)
  }

  /// Everything under a key that a prompt's words can stand under.
  private func texts(in node: SourceNode) -> [String] {
    switch node.content {
    case .scalar: return []
    case .sequence(let items): return items.flatMap(texts)
    case .mapping(let pairs):
      return pairs.flatMap { key, value in
        if let text = value.text { return ["text", "filler_text"].contains(key.text) ? [text] : [] }
        return texts(in: value)
      }
    }
  }

  /// A numeric address for `host`, by the system's resolver.
  private func resolve(_ host: String) throws -> String {
    if PeerAddress(host, port: 0) != nil { return host }
    var hints = addrinfo()
    hints.ai_family = AF_INET
    hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(host, nil, &hints, &list) == 0, let first = list else {
      throw CallerError("cannot find the host \(host)")
    }
    defer { freeaddrinfo(list) }
    var name = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    guard
      getnameinfo(first.pointee.ai_addr, first.pointee.ai_addrlen, &name, socklen_t(name.count), nil, 0, NI_NUMERICHOST)
        == 0
    else { throw CallerError("cannot find the host \(host)") }
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
