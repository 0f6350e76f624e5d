#if Cluster
  import Foundation
  import Testing

  /// `parley drain` for processes of a cluster with calls in them.
  @Suite(.serialized) struct DrainTests {
    @Test func aProcessIsTakenOutOfServiceWithoutCuttingACall() throws {
      let cluster = try Cluster(dialogs: ["survive.yaml": Conversation.dialog])
      let caller = try Conversation(with: cluster)
      try caller.waitForState("step_two")

      // There is another runtime: the call goes there, and new ones as well.
      let number = try #require(try cluster.holder("runtime"))
      let runtime = cluster.member("runtime", number)
      let drained = try Tools.run(Tools.parley, ["drain", "--ready-file", "\(runtime.folder)/ready.json"])
      #expect(drained.status == 0, "\(drained)")
      #expect(drained.output.contains(/^process \d+ has stopped after \d+ ms\n$/), "\(drained)")
      #expect(drained.output.hasPrefix("process \(runtime.pid) "), "\(drained)")
      #expect(cluster.ended("runtime", number) == 0, "\(runtime.errors)")
      let again = try Tools.run(Tools.parley, ["drain", "--ready-file", "\(runtime.folder)/ready.json"])
      #expect(again.status == 1 && again.errors.contains("no gateway is running that wrote it"), "\(again)")
      let next = try Conversation(with: cluster, keys: 1, hangsUp: true)
      try next.waitForState("step_two")

      // There is no other media process: the call stays until there is one, and new ones are refused.
      #expect(cluster.stop("media", 1) == 0)
      let media = cluster.member("media")
      let drain = Process(), output = Pipe()
      drain.executableURL = URL(fileURLWithPath: Tools.parley)
      drain.arguments = ["drain", "--ready-file", "\(media.folder)/ready.json", "--json"]
      drain.standardOutput = output
      try drain.run()
      try media.wait(for: 503, at: "/readyz")
      #expect(try media.metric("vg_draining") == 1)
      let refused = try cluster.refusal(0)
      #expect(refused.status == 0, "a new call was not refused with 503\n\(refused.output.suffix(800))")
      #expect(drain.isRunning && caller.isRunning)
      try cluster.restart("media", 1)
      drain.waitUntilExit()
      #expect(drain.terminationStatus == 0)
      let told = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
      #expect(told.contains(/^\{"duration_ms":\d+,"pid":\d+\}\n$/), "\(told)")
      #expect(cluster.ended("media", 0) == 0, "\(media.errors)")
      _ = try next.report(after: "a media process was drained")
      #expect(try next.end()["reason"] as? String == "caller")
      try caller.expect(after: "a runtime and a media process were drained")
      cluster.stop()
    }
  }
#endif
