import Storage
import Testing

/// What S3 answers, well formed and not.
@Suite struct S3AnswerTests {
  private func listing(_ inner: String) throws -> S3Listing {
    try S3Listing(
      Array(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\(inner)</ListBucketResult>"
          .utf8))
  }

  @Test func aListingIsRead() throws {
    let page = try listing(
      """
      <Name>b</Name><Prefix>a/</Prefix><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys><!-- <Key>no</Key> -->
      <IsTruncated>true</IsTruncated><NextContinuationToken>1/&amp;=</NextContinuationToken>
      <Contents a="x>y"><Key>a/&lt;b&gt; &quot;&#228;&#xE4;&apos;</Key><Size>12</Size><ETag>&quot;abc&quot;</ETag>
        <Owner><ID>me</ID><Key>not this</Key></Owner><StorageClass>STANDARD</StorageClass></Contents>
      <Contents><Key>a/c</Key><Size>0</Size><ETag/></Contents>
      <CommonPrefixes><Prefix>a/d/</Prefix></CommonPrefixes>
      """)
    #expect(page.entries.map(\.key) == ["a/<b> \"ää'", "a/c"])
    #expect(page.entries.map(\.size) == [12, 0])
    #expect(page.entries.map(\.etag) == ["\"abc\"", ""])
    #expect(page.next == "1/&=")
    #expect(try listing("<IsTruncated>false</IsTruncated><NextContinuationToken>x</NextContinuationToken>").next == nil)
  }

  @Test(arguments: [
    "", "<", "<>", "no xml", "<ListBucketResult>", "</ListBucketResult>", "<ListBucketResult></Other>",
    "<ListBucketResult/><ListBucketResult/>", "<ListBucketResult/>more", "<Other/>",
    "<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
    "<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
    "<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents></ListBucketResult>",
    "<ListBucketResult><Contents><Key>a</Key><Size>99999999999999999999</Size></Contents></ListBucketResult>",
    "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
    "<ListBucketResult><Key>&unknown;</Key></ListBucketResult>", "<ListBucketResult><Key>&#0;</Key></ListBucketResult>",
    "<ListBucketResult><Key>&#xD800;</Key></ListBucketResult>",
    "<ListBucketResult><Key>&#+65;</Key></ListBucketResult>",
    "<ListBucketResult><Key>& </Key></ListBucketResult>", "<ListBucketResult><Key>&</Key></ListBucketResult>",
    "<!DOCTYPE x [<!ENTITY a \"b\">]><ListBucketResult/>", "<ListBucketResult><![CDATA[x]]></ListBucketResult>",
    "<ListBucketResult a=\"x></ListBucketResult>", "<!-- <ListBucketResult/>", "<?xml <ListBucketResult/>",
  ])
  func whatIsMalformedIsRefused(text: String) {
    #expect(throws: S3XML.Malformed.self) { try S3Listing(Array(text.utf8)) }
  }

  @Test func whatIsTooMuchIsRefused() {
    let tooMuch = [
      String(repeating: "<a>", count: 17) + String(repeating: "</a>", count: 17),
      "<ListBucketResult><Key>\(String(repeating: "k", count: 9_000))</Key></ListBucketResult>",
      "<ListBucketResult><\(String(repeating: "n", count: 65))/></ListBucketResult>",
      "<ListBucketResult>"
        + String(repeating: "<Contents><Key>a</Key><Size>1</Size></Contents>", count: 1_001) + "</ListBucketResult>",
      "<ListBucketResult>\(String(repeating: " ", count: 9 << 20))</ListBucketResult>",
    ]
    for text in tooMuch { #expect(throws: S3XML.Malformed.self) { try S3Listing(Array(text.utf8)) } }
    #expect(throws: S3XML.Malformed.self) {
      try S3Listing([UInt8]("<ListBucketResult><Key>".utf8) + [0xFF, 0xFE] + [UInt8]("</Key></ListBucketResult>".utf8))
    }
  }

  /// Every beginning of a good answer is bad, and none brings the reader down.
  @Test func whatIsCutOffIsRefused() throws {
    let whole = Array(
      "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a&amp;b</Key><Size>1</Size></Contents></ListBucketResult>"
        .utf8)
    #expect(try S3Listing(whole).entries.count == 1)
    for end in 0..<whole.count { #expect(throws: S3XML.Malformed.self) { try S3Listing(Array(whole[..<end])) } }
  }

  @Test func aFailureSaysItsCode() {
    let failure = S3Failure(
      Array("<Error><Code>NoSuchKey</Code><Message>Not\nthere</Message><Key>a</Key></Error>".utf8))
    #expect(failure.code == "NoSuchKey")
    #expect(failure.message == "Not there")
    #expect(S3Failure(Array("<html><body>502 Bad Gateway".utf8)).code == "")
    #expect(
      S3Failure(Array("<Error><Message>\(String(repeating: "m", count: 5_000))</Message></Error>".utf8)).message.count
        == 200)
  }
}
