#if Cluster
  import ScriptedServers
  import Testing

  /// Callers of a cluster whose stores are away, and back again.
  @Suite(.serialized) struct OutageTests {
    /// The stores are away for as long as a conversation takes from its second step to its end, a quarter of a minute: longer than a
    /// command waits for Redis (2 s), a call for its state to be kept (0.3 s), a lease of the media role lasts (1.2 s), and a hop looks
    /// for a peer (10 s).
    @Test func callsGoOnWithoutRedisAndThenWithoutPostgres() throws {
      let postgres = try PostgresServer()
      let cluster = try Cluster(
        dialogs: ["survive.yaml": Conversation.dialog, "waiting.yaml": LiveCalls.dialog], postgres: postgres)
      let idle = try Conversation(with: cluster, dialog: "waiting", keys: 0, patience: 170)
      let talking = try Conversation(with: cluster)
      _ = try idle.id()
      try talking.waitForState("step_two")

      try cluster.crashRedis()
      for number in 0..<2 { try cluster.member("media", number).wait(for: 0, of: "vg_redis_up") }
      for number in 0..<2 {
        let refused = try cluster.refusal(number)
        #expect(refused.status == 0, "a new call was not refused with 503\n\(refused.output.suffix(800))")
      }
      try talking.expect(after: "Redis had gone")
      #expect(idle.isRunning, "the waiting call has ended\n\(cluster.errors)")

      try cluster.startRedis()
      let next = try Conversation(with: cluster)
      try next.waitForState("step_two")
      try postgres.crash()
      let begun = try Conversation(with: cluster, media: 1, keys: 1, hangsUp: true)
      _ = try begun.report(after: "PostgreSQL had gone")
      _ = try next.report(after: "PostgreSQL had gone")
      let runtimes = [cluster.member("runtime", 0), cluster.member("runtime", 1)]
      #expect(try runtimes.reduce(0) { $0 + (try $1.metric("vg_storage_writes_waiting")) } > 0)
      try postgres.start()
      for runtime in runtimes { try runtime.wait(for: 0, of: "vg_storage_writes_waiting") }
      for runtime in runtimes { #expect(try runtime.metric("vg_storage_writes_lost") == 0, "\(runtime.errors)") }
      try cluster.api.wait(for: 200, at: "/readyz")
      try next.expect(after: "PostgreSQL had gone")
      #expect(try begun.end()["reason"] as? String == "caller")
      #expect(try begun.states() == ["step_two"])

      // Whoever only waited is still where he was. His state is kept again, so that he outlives his processes, and he is found.
      #expect(idle.isRunning, "the waiting call has ended\n\(cluster.errors)")
      cluster.crash("media", 0)
      try cluster.member("media", 1).wait(for: 1, of: "vg_sessions_resumed_total{role=\"media\",outcome=\"resumed\"}")
      let holder = try #require(try cluster.holder("runtime"))
      cluster.crash("runtime", holder)
      try cluster.member("runtime", 1 - holder).wait(
        for: 1, of: "vg_sessions_resumed_total{role=\"runtime\",outcome=\"resumed\"}")
      let hangup = try cluster.api.api("POST", "/v1/calls/\(try idle.id())/hangup", body: "{\"reason\":\"normal\"}")
      #expect(hangup.status == 200, "\(hangup)\n\(cluster.errors)")
      #expect(try idle.report(after: "both had gone")["ended_by"] as? String == "gateway")
      #expect(try idle.end()["reason"] as? String == "api")
      cluster.stop()
    }
  }
#endif
