import Foundation
import ScriptedServers
import Testing

/// Sounds that lie in a bucket, heard in calls.
@Suite(.serialized, .timeLimit(.minutes(5))) struct ObjectStoreTests {
  private static func dialog(_ object: String) -> String {
    """
    name: sounds
    version: "1.0"
    language: en
    routing: { match: [{ sip_to: "sip:sounds@*" }] }
    states:
      start:
        on_enter:
          - { action: play_audio, object: "\(object)" }
          - { action: goto, target: bye }
      bye:
        terminal: true
    """
  }

  /// As a cluster has it: the keys in files of their own.
  private static func configuration(_ server: S3Server, secret: String? = nil) throws -> String {
    let folder = try Tools.temporaryFolder()
    try Data("\(server.accessKeyID)\n".utf8).write(to: URL(fileURLWithPath: "\(folder)/id"))
    try Data("\(secret ?? server.secretAccessKey)\n".utf8).write(to: URL(fileURLWithPath: "\(folder)/secret"))
    return """
      storage:
        objects: "\(server.url(prefix: "dialogs"))"
        s3: { access_key_id: "${file:\(folder)/id}", secret_access_key: "${file:\(folder)/secret}" }
      """
  }

  /// A tone of a second, put there by Amazon's own client.
  private static func upload(_ server: S3Server, _ name: String, frequency: Int = 440) throws {
    let folder = try Tools.temporaryFolder()
    let made = try Tools.run(
      Tools.python("python"),
      [
        "-c",
        """
        import boto3, io, math, struct, sys, wave
        from botocore.config import Config
        endpoint, key, secret, bucket, name, frequency = sys.argv[1:]
        out = io.BytesIO()
        sound = wave.open(out, "wb")
        sound.setparams((1, 2, 16000, 0, "NONE", ""))
        for n in range(16000):
            sample = int(9000 * math.sin(2 * math.pi * int(frequency) * n / 16000))
            sound.writeframesraw(struct.pack("<h", sample))
        sound.close()
        s3 = boto3.client("s3", endpoint_url=endpoint, aws_access_key_id=key, aws_secret_access_key=secret,
                          region_name="us-east-1", config=Config(s3={"addressing_style": "path"}))
        s3.put_object(Bucket=bucket, Key=name, Body=out.getvalue())
        """, server.endpoint, server.accessKeyID, server.secretAccessKey, server.bucket, name, "\(frequency)",
      ], in: folder)
    guard made.status == 0 else { throw Gateway.Failed(description: made.errors) }
  }

  /// What the caller hears, from 0 to 1; the events of the call.
  private static func call(_ gateway: Gateway, number: Int = 1) throws -> (loudness: Double, events: [[String: Any]]) {
    let file = "\(gateway.folder)/\(UUID().uuidString).wav"
    let result = try Tools.run(Tools.parley, ["call", gateway.uri("sounds"), "--record", file, "--deaf"])
    #expect(result.status == 0, "\(result.errors)")
    let stats = try Tools.run("sox", [file, "-n", "remix", "2", "stat"])
    let rms = stats.errors.split(separator: "\n").first { $0.contains("RMS     amplitude") }?.split(separator: " ").last
    let id = try gateway.terminations(number).last?["session_id"] as? String ?? ""
    let events = try gateway.json("/v1/calls/\(id)/events")["items"] as? [[String: Any]] ?? []
    return (Double(rms ?? "0") ?? 0, events)
  }

  private static func errors(_ events: [[String: Any]]) -> Set<String> {
    Set(events.filter { $0["type"] as? String == "error" }.compactMap { $0["message"] as? String })
  }

  @Test func aSoundOfABucketIsHeardAndFetchedOnce() throws {
    let server = try S3Server()
    defer { server.stop() }
    try Self.upload(server, "dialogs/greetings/a b.wav")
    let gateway = try Gateway(
      dialogs: ["sounds.yaml": Self.dialog("greetings/a b.wav")], configuration: try Self.configuration(server))
    for number in 1...2 {
      let (loudness, events) = try Self.call(gateway, number: number)
      #expect(loudness > 0.05, "nothing was heard: \(events) \(gateway.errors)")
      #expect(Self.errors(events).isEmpty)
    }
    #expect(try gateway.metric("vg_object_requests_total{operation=\"get\",outcome=\"ok\"}") == 1)
    // What is in memory is heard while the store is gone.
    server.stop()
    #expect(try Self.call(gateway, number: 3).loudness > 0.05)
  }

  @Test func whatIsNotThereHasASentence() throws {
    let server = try S3Server()
    defer { server.stop() }
    let gateway = try Gateway(
      dialogs: ["sounds.yaml": Self.dialog("none.wav")], configuration: try Self.configuration(server))
    let errors = Self.errors(try Self.call(gateway).events)
    #expect(errors == ["there is no object 'none.wav' in s3://parley-objects/dialogs"])
    #expect(gateway.errors.contains("An object cannot be fetched"))
    #expect(try gateway.metric("vg_object_requests_total{operation=\"get\",outcome=\"missing\"}") == 1)
  }

  @Test func aGatewayStartsWithoutItsStoreAndSaysSo() throws {
    let server = try S3Server()
    server.stop()
    let gateway = try Gateway(
      dialogs: ["sounds.yaml": Self.dialog("a.wav")], configuration: try Self.configuration(server))
    let errors = Self.errors(try Self.call(gateway).events)
    #expect(errors.count == 1 && errors.first?.hasPrefix("s3://parley-objects/dialogs: 127.0.0.1") == true, "\(errors)")
    let ready = try Tools.run("curl", ["-sS", "http://127.0.0.1:\(gateway.metricsPort)/readyz?verbose"])
    #expect(ready.output.contains("[!]objects degraded: s3://parley-objects/dialogs"), "\(ready.output)")
    #expect(ready.output.contains("readyz check passed"))
    #expect(gateway.errors.contains("The object store is not as it should be"))
  }

  @Test func theDoctorLooksAtTheBucket() throws {
    let server = try S3Server()
    let folder = try Tools.temporaryFolder()
    let file = "\(folder)/config.yaml"
    func doctor(_ text: String) throws -> String {
      try Data(text.utf8).write(to: URL(fileURLWithPath: file))
      return try Tools.run(Tools.parley, ["doctor", "--config", file]).output
    }
    var said = try doctor(try Self.configuration(server))
    #expect(said.contains("play_audio reads s3://parley-objects/dialogs"), "\(said)")
    said = try doctor(try Self.configuration(server, secret: "guessed-secret"))
    #expect(said.contains("storage.s3.secret_access_key is not the secret of access_key_id"), "\(said)")
    #expect(!said.contains("guessed-secret"))
    server.stop()
    said = try doctor(try Self.configuration(server))
    #expect(said.contains("object store") && said.contains("127.0.0.1"), "\(said)")
    try Data("storage: { objects: \"s3://bucket\" }".utf8).write(to: URL(fileURLWithPath: file))
    let check = try Tools.run(Tools.parley, ["config", "check", file], environment: ["AWS_ACCESS_KEY_ID": ""])
    #expect(check.status == 1)
    #expect(check.errors.contains("there are no credentials for it"), "\(check.errors)")
  }
}
