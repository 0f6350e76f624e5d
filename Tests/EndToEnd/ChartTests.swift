import Testing

/// The Helm chart, by what it renders: this gateway reads the configuration files and dialogs.
@Suite(.serialized) struct ChartTests {
  @Test func itRendersWhatKubernetesAndThisGatewayTake() throws {
    // Hundreds of renderings; minutes where other work has the processor.
    let result = try Tools.run(
      "\(Tools.root)/scripts/chart-test", [], environment: ["PARLEY": Tools.parley], limit: 900)
    #expect(result.status == 0, "\(result.output)\(result.errors)")
  }
}
