import Foundation
import Testing

/// A call from baresip: another SIP stack, another RTP clock, and a voice by espeak-ng that nothing here was made for.
@Suite(.serialized) struct BaresipTests {
  /// Dials, plays `speech`, records what comes back for `seconds`, and hangs up.
  private func dial(_ gateway: Gateway, _ dialog: String, speech: String, seconds: Int) throws -> (
    log: String, heard: String
  ) {
    let folder = try Tools.temporaryFolder()
    // A pause while the greeting plays, then the request, then silence: baresip starts playing when the call is up.
    let spoken = try Tools.run("espeak-ng", ["-v", "en-us", "-s", "140", "-w", "\(folder)/words.wav", speech])
    #expect(spoken.status == 0, "\(spoken.errors)")
    let mixed = try Tools.run(
      "sox",
      ["\(folder)/words.wav", "-r", "8000", "-c", "1", "-b", "16", "\(folder)/speech.wav", "pad", "13", "\(seconds)"])
    #expect(mixed.status == 0, "\(mixed.errors)")
    let port = Int.random(in: 16_000...19_000)
    let config = """
      sip_listen 127.0.0.1:\(port)
      net_interface 127.0.0.1
      audio_source aufile,\(folder)/speech.wav
      ausrc_srate 8000
      module_path /usr/lib/baresip/modules
      module g711.so
      module aufile.so
      module sndfile.so
      snd_path \(folder)
      module_app account.so
      module_app menu.so
      """
    try Data(config.utf8).write(to: URL(fileURLWithPath: "\(folder)/config"))
    try Data("<sip:tester@127.0.0.1>;regint=0;audio_codecs=pcmu\n".utf8).write(
      to: URL(fileURLWithPath: "\(folder)/accounts"))
    try Data().write(to: URL(fileURLWithPath: "\(folder)/contacts"))
    let result = try Tools.run(
      "baresip", ["-f", folder, "-e", "/dial \(gateway.uri(dialog))", "-t", "\(seconds)"], in: folder,
      limit: seconds + 20)
    let heard = try FileManager.default.contentsOfDirectory(atPath: folder).first { $0.hasSuffix("-dec.wav") }
    return (result.output + result.errors, "\(folder)/\(heard ?? "nothing-was-decoded.wav")")
  }

  @Test func aRequestByEspeakIsUnderstood() throws {
    let gateway = try Gateway()
    let (log, heard) = try dial(gateway, "helpdesk", speech: "i forgot my password", seconds: 22)
    let call = try gateway.lastCall()
    #expect(call.states.contains("password"), "\(call.states)\n\(log)")
    let stats = try Tools.run("sox", [heard, "-n", "stat"])
    let rms = stats.errors.split(separator: "\n").first { $0.contains("RMS     amplitude") }?.split(separator: " ").last
    #expect(Double(rms ?? "0") ?? 0 > 0.002, "baresip heard nothing: \(stats.errors)\n\(log)")
  }
}
