import Outbound
import Settings
import Testing

@Suite struct PayloadSignatureTests {
  private let body = Array("{\"type\":\"call_started\"}".utf8)
  private let signature = PayloadSignature(secrets: [Secret("topsecret")])

  @Test func theValueIsWhatOthersCompute() {
    // printf '1700000000.{"type":"call_started"}' | openssl dgst -sha256 -hmac topsecret
    #expect(
      signature.value(body: body, timestamp: 1_700_000_000)
        == "t=1700000000,v1=9831967d8ac93827c27be788cc47a8e34ca392024aa78cff900920a357a9d856")
  }

  @Test func onlyTheRightBodyTimeAndSecretAreAccepted() {
    let value = signature.value(body: body, timestamp: 1_700_000_000)
    #expect(signature.accepts(value, body: body, now: 1_700_000_000))
    #expect(signature.accepts(value, body: body, now: 1_700_000_300))
    #expect(!signature.accepts(value, body: body, now: 1_700_000_301), "an old recording")
    #expect(!signature.accepts(value, body: body, now: 1_699_999_699), "a clock from the future")
    #expect(!signature.accepts(value, body: body + [0x20], now: 1_700_000_000))
    #expect(!signature.accepts(value.replacing("t=1700000000", with: "t=1700000001"), body: body, now: 1_700_000_000))
    #expect(!PayloadSignature(secrets: [Secret("other")]).accepts(value, body: body, now: 1_700_000_000))
    for garbage in ["", "t=,v1=", "v1=00", "t=1700000000", "t=1700000000,v1=zz", "t=-9223372036854775808,v1=00"] {
      #expect(!signature.accepts(garbage, body: body, now: 1_700_000_000), "\(garbage)")
    }
  }

  @Test func twoSecretsAreBothAccepted() {
    let both = PayloadSignature(secrets: [Secret("new"), Secret("topsecret")])
    let value = both.value(body: body, timestamp: 1_700_000_000)
    #expect(signature.accepts(value, body: body, now: 1_700_000_000))
    #expect(PayloadSignature(secrets: [Secret("new")]).accepts(value, body: body, now: 1_700_000_000))
    #expect(!PayloadSignature(secrets: [Secret("third")]).accepts(value, body: body, now: 1_700_000_000))
  }
}
