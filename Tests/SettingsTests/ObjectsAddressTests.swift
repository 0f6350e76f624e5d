import Base
import Settings
import Testing

/// Where sounds lie: a folder, or a bucket with the keys to it.
@Suite struct ObjectsAddressTests {
  private func bucket(_ text: String) throws -> BucketAddress {
    guard case .bucket(let address) = try ObjectsAddress(text) else { throw Diagnostics([]) }
    return address
  }

  @Test func everyFormIsRead() throws {
    #expect(try ObjectsAddress("file:///var/objects") == .folder("/var/objects"))
    let amazon = try bucket("s3://my-bucket?region=eu-central-1")
    #expect(amazon.endpoint == "https://s3.eu-central-1.amazonaws.com" && !amazon.isPathStyle && amazon.prefix.isEmpty)
    let full = try bucket("s3://b.1/a/b/?endpoint=https://MinIO:9000/&region=us-east-1&path_style=true")
    #expect(full.bucket == "b.1" && full.prefix == "a/b" && full.endpoint == "https://minio:9000" && full.isPathStyle)
    #expect(full.place == "s3://b.1/a/b")
    #expect("\(full)" == "s3://b.1/a/b?endpoint=https://minio:9000&region=us-east-1&path_style=true")
    #expect(try bucket("\(full)") == full)
    // Others than Amazon seldom have a name for every bucket.
    #expect(try bucket("s3://bucket?endpoint=http%3A%2F%2F10.0.0.1:9000").isPathStyle)
    #expect(try bucket("s3://bucket?endpoint=https://[::1]:9000").endpoint == "https://[::1]:9000")
  }

  @Test(arguments: [
    ("objects", "`objects` is no file or S3 URL"), ("file://objects", "`file://objects` is no file or S3 URL"),
    ("s3://", "`` is no name of a bucket"), ("s3://Bucket", "`Bucket` is no name of a bucket"),
    ("s3://b_c", "`b_c` is no name of a bucket"), ("s3://ab", "`ab` is no name of a bucket"),
    ("s3://-ab", "`-ab` is no name of a bucket"), ("s3://a..b", "`a..b` is no name of a bucket"),
    ("s3://bucket/a//b", "has a prefix that is none"), ("s3://bucket/../b", "has a prefix that is none"),
    ("s3://bucket?endpont=https://x", "has the parameter `endpont`"),
    ("s3://bucket?region=a&region=b", "says `region` twice"), ("s3://bucket?region=", "has no value for `region`"),
    ("s3://bucket?region=a/b", "has a region that is none"),
    ("s3://bucket?endpoint=minio:9000", "has an endpoint that is no http or https URL"),
    ("s3://bucket?endpoint=https://minio/path", "has an endpoint with more than scheme, host and port"),
    ("s3://bucket?endpoint=https://key:secret@minio", "has an endpoint with more than scheme, host and port"),
    ("s3://bucket?endpoint=https://minio:70000", "has an endpoint that has a port that is none"),
    ("s3://bucket?endpoint=https://", "has an endpoint that has no host"),
    ("s3://bucket?path_style=yes", "has a path_style that is neither true nor false"),
    ("s3://bucket?endpoint=https://10.0.0.1&path_style=false", "write path_style=true"),
    ("s3://my.bucket", "write path_style=true"), ("s3://bucket#x", "is no address"),
    ("s3://b\u{E4}cket", "is no address"),
  ])
  func whatCannotBeReadIsSaid(text: String, said: String) {
    let error = #expect(throws: ObjectsAddress.Problem.self) { try ObjectsAddress(text) }
    #expect(error?.description.contains(said) == true, "\(error?.description ?? "")")
  }

  // MARK: In a configuration

  private func load(_ text: String, _ environment: [String: String] = [:]) throws -> StorageSettings {
    try ConfigurationLoader(environment: environment).load(text: text, file: "c.yaml").configuration.storage
  }

  private func problem(_ text: String, _ environment: [String: String] = [:]) -> String {
    do {
      _ = try load(text, environment)
      return ""
    } catch {
      return "\(error)"
    }
  }

  @Test func keysComeFromTheFileOrTheEnvironment() throws {
    let bucket = "storage:\n  objects: \"s3://bucket?endpoint=https://minio:9000\"\n"
    let amazon = [
      "AWS_ACCESS_KEY_ID": "env-id", "AWS_SECRET_ACCESS_KEY": "env-secret", "AWS_SESSION_TOKEN": "env-token",
      "K": "mine",
    ]
    var keys = try load(bucket, amazon).s3
    #expect(keys.accessKeyID.reveal() == "env-id" && keys.secretAccessKey.reveal() == "env-secret")
    #expect(keys.sessionToken.reveal() == "env-token")
    let own = "  s3: { access_key_id: \"${K}\", secret_access_key: \"${K}-secret\", ca: /ca.pem }"
    keys = try load(bucket + own, amazon).s3
    #expect(keys.accessKeyID.reveal() == "mine" && keys.secretAccessKey.reveal() == "mine-secret")
    #expect(keys.sessionToken.isEmpty, "it belongs to the environment's keys")
    #expect(keys.authoritiesFile == "/ca.pem")
    #expect(try load("", amazon).s3 == S3Settings(), "a folder needs none")

    let loaded = try ConfigurationLoader(environment: amazon).load(text: bucket, file: nil)
    let shown = ConfigurationText.yaml(loaded.configuration)
    #expect(!shown.contains("env-"))
    #expect(shown.contains("s3://bucket?endpoint=https://minio:9000"))
  }

  @Test func whatDoesNotFitTogetherIsSaid() {
    let bucket = "storage:\n  objects: \"s3://bucket?endpoint=http://minio:9000\"\n"
    for (text, said) in [
      (bucket, "set storage.s3.access_key_id and storage.s3.secret_access_key, or AWS_ACCESS_KEY_ID"),
      (bucket + "  s3: { access_key_id: a }", "storage.s3.access_key_id needs secret_access_key"),
      (bucket + "  s3: { secret_access_key: a }", "storage.s3.secret_access_key needs access_key_id"),
      ("storage: { s3: { access_key_id: a } }", "storage.s3 has no effect without a bucket"),
      (
        bucket + "  s3: { access_key_id: a, secret_access_key: b, ca: /c }",
        "storage.s3.ca has no effect without an https endpoint"
      ),
    ] { #expect(problem(text).contains(said), "\(problem(text))") }
    let secret = problem(bucket + "  s3: { access_key_id: a, secret_access_key: \"hunter 22\" }")
    #expect(secret.contains("holds characters that no token has") && !secret.contains("hunter"))
  }
}
