import Base
import Outbound
import Settings

extension Configuration {
  /// Servers of the configuration that the guard of outgoing requests will refuse, as far as that can be seen without asking a
  /// name server: addresses, `localhost`, and names that `integration.outbound.deny` holds.
  func outboundWarnings(file: String?) -> [Diagnostic] {
    var servers = integration.services.map { ("integration.services.\($0.key).url", $0.value.url) }.sorted {
      $0.0 < $1.0
    }
    let llm = runtime.llm
    servers += [("runtime.llm.url", llm.url), ("runtime.llm.embeddings_url", llm.embeddingsURL)]
    servers += llm.fallbacks.enumerated().map { ("runtime.llm.fallbacks[\($0.offset)].url", $0.element.url) }
    return servers.filter { !$0.1.isEmpty }.compactMap { key, url in
      do {
        try OutboundClient.check(url, integration.outbound)
        return nil
      } catch {
        return Diagnostic(
          code: ConfigurationCode.contradiction, severity: .warning, file: file ?? "defaults", position: nil,
          message: "\(key) will be refused: \(error)")
      }
    }
  }
}
