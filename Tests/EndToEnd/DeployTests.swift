import Foundation
import Testing

/// What runs the gateway where there is no Kubernetes.
struct DeployTests {
  private static let deploy = "\(Tools.root)/deploy"

  @Test func theUnitIsHardenedAndWhole() throws {
    let unit = "\(Self.deploy)/systemd/parley.service"
    // systemd's own judgement of what the service may do to the machine, from 0 (nothing) to 100.
    let judged = try Tools.run("systemd-analyze", ["security", "--offline=yes", "--threshold=20", "--no-pager", unit])
    #expect(judged.status == 0, "\(judged.output.suffix(300))\(judged.errors)")
    let folder = try Tools.temporaryFolder()
    let text = try String(contentsOfFile: unit, encoding: .utf8)
      .replacingOccurrences(of: "/usr/local/bin/parley", with: Tools.parley)
    try text.write(toFile: "\(folder)/parley.service", atomically: true, encoding: .utf8)
    let verified = try Tools.run("systemd-analyze", ["verify", "--man=no", "\(folder)/parley.service"])
    #expect(verified.status == 0 && !verified.errors.contains("parley.service:"), "\(verified.errors)")
  }

  /// Killed before its calls have ended is what a gateway is where the grace is shorter than the drain.
  @Test(arguments: ["systemd/parley.service", "compose/compose.yaml"])
  func theGraceIsLongerThanTheDrain(_ file: String) throws {
    let text = try String(contentsOfFile: "\(Self.deploy)/\(file)", encoding: .utf8)
    func seconds(_ pattern: Regex<(Substring, Substring)>) throws -> Int {
      try #require(text.firstMatch(of: pattern).flatMap { Int($0.1) }, "\(file) does not say it")
    }
    let drain = try seconds(/--drain-timeout[ ,]+(\d+)s/)
    let grace = try seconds(/(?:TimeoutStopSec=|stop_grace_period: )(\d+)/)
    #expect(grace >= drain + 15)
  }

  @Test func theComposeFilesConfigurationIsTaken() throws {
    let checked = try Tools.run(Tools.parley, ["config", "check", "\(Self.deploy)/compose/config.yaml"])
    #expect(checked.status == 0, "\(checked.output)\(checked.errors)")
    let compose = try String(contentsOfFile: "\(Self.deploy)/compose/compose.yaml", encoding: .utf8)
    let version = try Tools.run(Tools.parley, ["version"]).output.split(separator: " ")[1]
    #expect(compose.contains("localhost/parley:\(version)}"), "the image of another version")
  }
}
