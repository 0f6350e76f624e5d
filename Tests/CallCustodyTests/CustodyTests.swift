#if Cluster
  import Base
  import CallLink
  import CallCustody
  import NIOConcurrencyHelpers
  import Storage
  import Testing

  /// Calls through three roles whose processes die.
  @Suite(.timeLimit(.minutes(1))) struct CustodyTests {
    private func expected(_ keys: Int) -> [String] {
      let pressed = (1...keys).map { String($0 % 10) }
      return (1...keys).map { "\(pressed.prefix($0).joined())@\($0)" }
    }

    private func heard(_ cluster: TestCluster, _ session: SessionID) -> [String] {
      cluster.phones.flatMap { $0.heard.withLockedValue { $0[session] ?? [] } }
    }

    @Test(arguments: TestCluster.Transport.allCases)
    func aCallWithoutDeathsIsAnsweredKeyByKeyAndLeavesNothingBehind(over: TestCluster.Transport) async throws {
      let cluster = try await TestCluster(of: 1, over: over)
      let session = SessionID("calm"), phone = cluster.phones[0]
      phone.call(session)
      for key in 1...5 { phone.tell(session, .digit(Character(String(key)), durationMs: 100)) }
      await cluster.bell.until { heard(cluster, session).count == 5 }
      #expect(heard(cluster, session) == expected(5))
      #expect([cluster.medias[0], cluster.speeches[0]].allSatisfy { $0.noticed.withLockedValue { $0 } == [session] })
      phone.tell(session, .ended(.caller))
      await cluster.bell.until {
        cluster.runtimes[0].runtime.withLockedValue { $0!.held } == 0
          && cluster.speeches[0].speech.withLockedValue { $0!.held } == 0
          && cluster.medias[0].media.withLockedValue { $0!.held } == 0
      }
      await cluster.stop()
    }

    @Test(arguments: ["runtime", "speech", "both"], TestCluster.Transport.allCases)
    func keysThatArePressedWhileProcessesDieAreAllAnsweredOnce(role: String, over: TestCluster.Transport) async throws {
      let cluster = try await TestCluster(of: 3, over: over)
      let session = SessionID("killed-\(role)"), phone = cluster.phones[0]
      phone.call(session)
      for key in 1...12 {
        phone.tell(session, .digit(Character(String(key % 10)), durationMs: 100))
        // In the middle of what the key sets off.
        if key == 4, role != "runtime" { held(cluster.speeches) { $0.speech.withLockedValue { $0!.held } }?.kill() }
        if key == 8, role != "speech" { held(cluster.runtimes) { $0.runtime.withLockedValue { $0!.held } }?.kill() }
        let count = key
        if key % 2 == 0 { await cluster.bell.until { heard(cluster, session).count >= count } }
      }
      await cluster.bell.until { heard(cluster, session).count >= 12 }
      #expect(heard(cluster, session) == expected(12))
      await cluster.stop()
    }

    @Test(arguments: TestCluster.Transport.allCases)
    func aCallGoesOnInAnotherMediaProcess(over: TestCluster.Transport) async throws {
      let cluster = try await TestCluster(of: 2, over: over)
      let session = SessionID("moved")
      cluster.phones[0].call(session)
      for key in 1...3 { cluster.phones[0].tell(session, .digit(Character(String(key)), durationMs: 100)) }
      await cluster.bell.until { heard(cluster, session).count == 3 }
      await cluster.phones[0].remembered(session)
      cluster.medias[0].kill()
      await cluster.bell.until { cluster.phones[1].has(session) }
      for key in 4...6 { cluster.phones[1].tell(session, .digit(Character(String(key)), durationMs: 100)) }
      await cluster.bell.until { heard(cluster, session).count >= 6 }
      #expect(heard(cluster, session) == expected(6))
      await cluster.stop()
    }

    @Test func aCallThatNobodyHadAnsweredEndsForEverybodyWhenItsMediaProcessDies() async throws {
      let cluster = try await TestCluster(of: 2)
      let session = SessionID("unanswered")
      let side = cluster.medias[0].media.withLockedValue { $0! }
      let (_, custodian) = side.open(TestMedia.info(session), media: Silent(), resuming: false)
      await cluster.bell.until { cluster.speeches.contains { $0.speech.withLockedValue { $0!.held } == 1 } }
      // There is nothing yet that a successor could go on with.
      custodian.keep([], handled: CallPlace())
      await cluster.bell.until { cluster.medias[0].states.withLockedValue { $0 } > 0 }
      cluster.medias[0].kill()
      await cluster.bell.until {
        cluster.runtimes.allSatisfy { $0.runtime.withLockedValue { $0!.held } == 0 }
          && cluster.speeches.allSatisfy { $0.speech.withLockedValue { $0!.held } == 0 }
      }
      await cluster.stop()
    }

    private func held(_ processes: [TestProcess], _ count: (TestProcess) -> Int) -> TestProcess? {
      processes.first { $0.isAlive && count($0) > 0 }
    }

    private struct Silent: KeptMediaSide {
      func send(_ message: Numbered<SpeechToMedia>) {}
      func audio(_ pcm: UnsafeBufferPointer<Int16>, playback: PlaybackID) -> Int { pcm.count }
      func abandon() {}
    }
  }
#endif
