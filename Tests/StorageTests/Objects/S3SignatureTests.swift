import Settings
import Storage
import Testing

/// Signatures against those that AWS publishes: the test suite of Signature Version 4, and the examples in the reference of S3.
@Suite struct S3SignatureTests {
  typealias Header = (name: String, value: String)

  private func signature(_ authorization: String) -> String {
    String(authorization.split(separator: "=").last ?? "")
  }

  @Test(
    arguments: [
      ("GET", "/", "", [:], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
      (
        "GET", "/", "Param1=value1&Param2=value2", [:],
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
      ),
      ("POST", "/", "", [:], "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
      (
        "GET", "/", "", ["My-Header1": " value1", "My-Header2": " \"a   b   c\""],
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"
      ),
      (
        "GET", "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", "", [:],
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"
      ),
    ] as [(String, String, String, [String: String], String)])
  func theTestSuiteOfAWS(method: String, path: String, query: String, more: [String: String], expected: String) {
    let signer = S3Signature(
      accessKeyID: Secret("AKIDEXAMPLE"), secretAccessKey: Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
      region: "us-east-1", service: "service")
    let headers: [Header] =
      [("Host", "example.amazonaws.com"), ("X-Amz-Date", "20150830T123600Z")] + more.map { ($0.key, $0.value) }
    let authorization = signer.authorization(
      method: method, path: path, query: query, headers: headers, payloadHash: S3Signature.hash([]),
      time: "20150830T123600Z")
    #expect(signature(authorization) == expected)
  }

  @Test(
    arguments: [
      (
        "GET", "/test.txt", "", ["Range": "bytes=0-9"], "",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
      ),
      (
        "PUT", "/test$file.text", "",
        ["Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"],
        "Welcome to Amazon S3.", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
      ),
      ("GET", "/", "lifecycle=", [:], "", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
      ("GET", "/", "prefix=J&max-keys=2", [:], "", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ] as [(String, String, String, [String: String], String, String)])
  func theExamplesOfS3(
    method: String, path: String, query: String, more: [String: String], body: String, expected: String
  ) {
    let signer = S3Signature(
      accessKeyID: Secret("AKIAIOSFODNN7EXAMPLE"), secretAccessKey: Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
      region: "us-east-1")
    let hash = S3Signature.hash(Array(body.utf8))
    let time = S3Signature.time(unixMilliseconds: 1_369_353_600_000)
    #expect(time == "20130524T000000Z")
    let headers: [Header] =
      [("Host", "examplebucket.s3.amazonaws.com"), ("x-amz-content-sha256", hash), ("x-amz-date", time)]
      + more.map { ($0.key, $0.value) }
    let pairs = query.split(separator: "&").map { pair -> Header in
      let parts = pair.split(separator: "=", omittingEmptySubsequences: false)
      return (String(parts[0]), String(parts[1]))
    }
    let authorization = signer.authorization(
      method: method, path: S3Signature.encoded(path, keepingSlashes: true), query: S3Signature.query(pairs),
      headers: headers, payloadHash: hash, time: time)
    #expect(signature(authorization) == expected)
    #expect(
      authorization.hasPrefix("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "))
  }
}
