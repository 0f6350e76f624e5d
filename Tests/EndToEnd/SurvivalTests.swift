#if Cluster
  import Foundation
  import ScriptedServers
  import Testing

  /// Callers in the middle of a conversation while the processes behind it die.
  @Suite(.serialized) struct SurvivalTests {
    @Test(arguments: ["runtime", "speech", "integration", "worker", "media"])
    func everyRoleMayDieInTheMiddleOfAConversation(role: String) throws {
      let cluster = try Cluster(dialogs: ["survive.yaml": Conversation.dialog])
      let caller = try Conversation(with: cluster)
      try caller.waitForState("step_three")
      let number = role == "media" ? 0 : try cluster.holder(role) ?? 0
      cluster.crash(role, number)
      try caller.expect(after: "kill -9 of \(role) \(number)")
      cluster.stop()
    }

    @Test func aCallIsHandedOnWhereverAProcessIsAskedToStop() throws {
      let cluster = try Cluster(dialogs: ["survive.yaml": Conversation.dialog])
      let caller = try Conversation(with: cluster)
      try caller.waitForState("step_two")
      // A rolling restart of everything.
      for role in ["runtime", "speech", "integration", "worker", "media"] {
        for number in 0..<2 {
          #expect(cluster.stop(role, number) == 0, "\(role) \(number) did not stop cleanly")
          try cluster.restart(role, number)
        }
      }
      try caller.expect(after: "a rolling restart")
      cluster.stop()
    }

    @Test func whoeverComesWithAnotherRolesCertificateIsRefusedInASentence() throws {
      let cluster = try Cluster(of: 1, dialogs: ["survive.yaml": Conversation.dialog])
      let stranger = try cluster.start("media", 1, certificates: "stranger")
      let wanted = "a certificate for media.parley is needed; the peer's names are: stranger.parley"
      #expect(try stranger.waitUntilSaid(wanted), "\(stranger.errors)")
      let ready = try Tools.run("curl", ["-s", "http://127.0.0.1:\(stranger.metricsPort)/readyz"]).output
      #expect(ready.contains("speech: no process of the speech role answers"), "\(ready)")
      // Those who belong to each other go on.
      let caller = try Conversation(with: cluster)
      try caller.expect(after: "a stranger came")
      #expect(stranger.stop() == 0)
      cluster.stop()
    }

    @Test func newCertificatesCutNoCall() throws {
      let cluster = try Cluster(of: 1, dialogs: ["survive.yaml": Conversation.dialog])
      let caller = try Conversation(with: cluster)
      try caller.waitForState("step_two")
      try Cluster.makeCertificates(Cluster.roles, in: cluster.folder, authority: false)
      #expect(try cluster.member("speech").waitUntilSaid("certificates were read anew"), "\(cluster.errors)")
      try caller.expect(after: "new certificates")
      // Whoever comes with a new one is at home.
      cluster.stop("runtime")
      try cluster.restart("runtime")
      let next = try Conversation(with: cluster)
      try next.expect(after: "a restart with new certificates")
      cluster.stop()
    }

    @Test func aRedisMasterThatDiesTakesNoCallWithIt() throws {
      let cluster = try Cluster(dialogs: ["survive.yaml": Conversation.dialog], losesRedis: true)
      let caller = try Conversation(with: cluster)
      try caller.waitForState("step_two")
      try cluster.redis.crash()
      try caller.expect(after: "the death of the Redis master")
      // Sentinel has made the replica the master: new calls come, and survive.
      let next = try Conversation(with: cluster)
      try next.waitForState("step_two")
      cluster.crash("runtime", try cluster.holder("runtime") ?? 0)
      try next.expect(after: "the death of a runtime behind the new Redis master")
      cluster.stop()
    }
  }
#endif
