#if Cluster
  import ScriptedServers
  import Testing

  /// Processes that are taken for dead and are not, and states that are not what they should be.
  @Suite(.serialized) struct FencingTests {
    /// Nobody has to press a key: the runtime's own clock leads from state to state, in every process that believes it has the call.
    private static let clockwork = """
      name: clockwork
      routing: { match: [{ sip_to: "sip:clockwork@*" }] }
      states:
        start:
          on_enter: [{ action: play_tts, text: "This is the first step." }]
          timeout: 2s
          timeout_next: step_two
        step_two:
          on_enter: [{ action: play_tts, text: "This is the second step." }]
          timeout: 2s
          timeout_next: step_three
        step_three:
          on_enter:
            - action: play_tts
              text: "This is the third step. It takes its time to be said. It has some more sentences. And here is its end."
          timeout: 2s
          timeout_next: finish
        finish:
          on_enter: [{ action: play_tts, text: "That was the last step. Goodbye." }, { action: hangup }]
          terminal: true
      """

    @Test func whoeverComesBackFindsItsCallTaken() throws {
      let cluster = try Cluster(dialogs: ["clockwork.yaml": Self.clockwork], cable: "runtime")
      let caller = try Conversation(with: cluster, dialog: "clockwork", keys: 0)
      let taken = "another process has the call"

      // The network between speech and the runtime is cut while the runtime counts two seconds. It lives and has its stores, and
      // so has its successor: both come to the moment.
      try caller.waitForState("step_two")
      try caller.wait(for: "tts_completed", count: 2)
      let runtime = try #require(try cluster.holder("runtime"))
      cluster.cut("runtime", runtime)
      try caller.waitForState("step_three")
      let other = 1 - runtime
      try cluster.member("runtime", other).wait(
        for: 1, of: "vg_sessions_resumed_total{role=\"runtime\",outcome=\"resumed\"}")
      #expect(try cluster.member("runtime", runtime).waitUntilSaid(taken), "\(cluster.errors)")
      cluster.mend("runtime", runtime)

      // A speech process stands still in the middle of a prompt, and goes on with it when another has said it to its end.
      try caller.wait(for: "tts_started", with: "the third step")
      let speech = try #require(try cluster.holder("speech"))
      cluster.freeze("speech", speech)
      try caller.wait(for: "tts_completed", count: 3)
      cluster.thaw("speech", speech)
      #expect(try cluster.member("speech", speech).waitUntilSaid(taken), "\(cluster.errors)")

      // The dialog itself is silent for two seconds after each prompt.
      try caller.expect(["step_two", "step_three", "finish"], after: "two partitions", silence: 4_000)
      for role in ["runtime", "speech"] {
        for number in 0..<2 { try cluster.member(role, number).wait(for: 0, of: "vg_calls_held") }
      }
      cluster.stop()
    }

    /// What becomes of the bytes that are kept, as an expression of Redis' language.
    private static let damages = [
      "'no state at all'", "string.sub(state, 1, -2)",
      // As of a gateway with another key: the four bytes behind the first name it.
      "string.sub(state, 1, 1) .. 'keys' .. string.sub(state, 6)",
    ]

    @Test func aStateThatCannotBeReadEndsItsCallAndNothingElse() throws {
      let cluster = try Cluster(dialogs: ["survive.yaml": Conversation.dialog])
      // All calls are to be in one process.
      #expect(cluster.stop("runtime", 1) == 0)
      let victims = try Self.damages.map { _ in try Conversation(with: cluster, keys: 0, patience: 60) }
      let sound = try Conversation(with: cluster)
      for caller in victims + [sound] { try caller.wait(for: "tts_started") }
      try cluster.restart("runtime", 1)
      // Its process stands still, so that it does not mend what is damaged.
      cluster.freeze("runtime", 0)
      for (victim, damage) in zip(victims, Self.damages) {
        let script = """
          local state = redis.call('HGET', KEYS[1], 'data')
          return redis.call('HSET', KEYS[1], 'data', \(damage))
          """
        #expect(try cluster.redis.ask("eval \"\(script)\" 1 parley:state:\(try victim.id())") == "0")
      }
      cluster.crash("runtime", 0)

      let survivor = cluster.member("runtime", 1)
      for (victim, damage) in zip(victims, Self.damages) {
        let report = try victim.report(after: damage)
        #expect(report["status"] as? Int == 200 && report["ended_by"] as? String == "gateway", "\(report)")
        let end = try victim.end()
        #expect(end["reason"] as? String == "error", "\(damage): \(end)")
        let error = try victim.record().last { $0["type"] as? String == "error" }
        #expect(error?["code"] as? String == "session_lost", "\(damage): \(error ?? [:])")
        let message = error?["message"] as? String ?? ""
        #expect(message.contains("the state is"), "\(damage): \(error ?? [:])")
      }
      try survivor.wait(for: 3, of: "vg_sessions_resumed_total{role=\"runtime\",outcome=\"unread\"}")
      try survivor.wait(for: 1, of: "vg_sessions_resumed_total{role=\"runtime\",outcome=\"resumed\"}")
      try sound.expect(after: "other calls' states were damaged")
      let next = try Conversation(with: cluster, keys: 1, hangsUp: true)
      _ = try next.report(after: "states were damaged")
      #expect(try next.end()["reason"] as? String == "caller")
      #expect(cluster.stop("runtime", 1) == 0)
      cluster.stop()
    }
  }
#endif
