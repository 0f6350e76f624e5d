// Where files lie that are too large for a database: sounds now, recordings later.

/// A place for objects, such as a bucket that speaks the S3 protocol. Safe to use from any thread.
///
/// An object is written and read whole. What is to be sent in parts while it comes into being (a multipart upload) will be a
/// function of its own.
public protocol ObjectStore: Sendable {
  /// For logs and messages: a path, or `s3://bucket/prefix`.
  var place: String { get }

  /// What is known of an object without reading it; nil: there is none.
  func head(_ key: ObjectKey) async throws(ObjectError) -> ObjectInfo?

  /// An object with its bytes.
  /// - Parameters:
  ///   - limit: bytes; a longer object is not read.
  ///   - etag: of what the caller has already.
  /// - Returns: nil where the object still has `etag`.
  /// - Throws: ``ObjectError`` of kind ``ObjectError/Kind/missing`` where there is none.
  func get(_ key: ObjectKey, limit: Int, unless etag: String?) async throws(ObjectError) -> StoredObject?

  /// Writes an object, or another in its place. Nobody sees half of it.
  /// - Parameter type: its media type (RFC 6838), such as `audio/wav`.
  func put(_ key: ObjectKey, _ bytes: [UInt8], type: String) async throws(ObjectError) -> ObjectInfo

  /// Deletes an object; one that is not there is none the worse for it.
  func delete(_ key: ObjectKey) async throws(ObjectError)

  /// Objects whose keys begin with `prefix`, in the order of their UTF-8 bytes.
  /// - Parameters:
  ///   - mark: ``ObjectPage/next`` of the page before; nil: from the beginning.
  ///   - limit: objects, 1 to ``ObjectPage/limit``.
  func list(_ prefix: String, from mark: String?, limit: Int) async throws(ObjectError) -> ObjectPage

  /// Whether the store can be reached and lets us in.
  func check() async throws(ObjectError)

  /// Ends what is under way. Idempotent.
  func close() async
}

/// The name of an object: names with a `/` between them, as of a file in a folder.
///
/// Only names that mean the same in a folder and in a bucket: none is empty, `.` or `..`, and no character is a control.
public struct ObjectKey: Sendable, Hashable, CustomStringConvertible {
  /// Bytes. A bucket takes 1024, a part of which is the prefix of the configuration.
  public static let limit = 512

  private let text: String

  /// - Throws: ``ObjectError`` of kind ``ObjectError/Kind/invalidKey``.
  public init(_ text: String) throws(ObjectError) {
    let names = text.split(separator: "/", omittingEmptySubsequences: false)
    guard (1...Self.limit).contains(text.utf8.count), names.allSatisfy({ !["", ".", ".."].contains($0) }),
      text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F })
    else {
      throw ObjectError(
        .invalidKey,
        "an object's name has 1 to \(Self.limit) bytes, no control characters, and no empty part, `.` or `..` between its slashes"
      )
    }
    self.text = text
  }

  public var description: String { text }
}

public struct ObjectInfo: Sendable, Hashable {
  public var key: ObjectKey
  /// Bytes.
  public var size: Int
  /// Differs after every change; means nothing else.
  public var etag: String

  public init(key: ObjectKey, size: Int, etag: String) {
    self.key = key
    self.size = size
    self.etag = etag
  }
}

public struct StoredObject: Sendable, Hashable {
  public var info: ObjectInfo
  public var bytes: [UInt8]

  public init(info: ObjectInfo, bytes: [UInt8]) {
    self.info = info
    self.bytes = bytes
  }
}

public struct ObjectPage: Sendable, Hashable {
  /// Objects of one page at most, as of S3.
  public static let limit = 1_000

  public var objects: [ObjectInfo]
  /// Where the next page begins; nil: this is the last.
  public var next: String?

  public init(objects: [ObjectInfo], next: String? = nil) {
    self.objects = objects
    self.next = next
  }
}

/// Why an object store did not do what was asked: a kind to branch on and one sentence for a person.
public struct ObjectError: Error, Sendable, Hashable, CustomStringConvertible {
  public enum Kind: String, Sendable, Hashable {
    /// There is no such object.
    case missing
    /// The store does not let us: wrong or missing rights.
    case refused
    /// The store cannot be reached, is silent, or says that it cannot just now: later it may.
    case unavailable
    case tooLarge = "too_large"
    case invalidKey = "invalid_key"
    /// Anything else: a disk that is full, an answer that makes no sense, a bucket that is not there.
    case failed
  }

  public var kind: Kind
  public var description: String

  public init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }
}

extension ObjectError {
  static func tooLarge(_ key: ObjectKey, in place: String, limit: Int) -> ObjectError {
    ObjectError(.tooLarge, "the object '\(key)' in \(place) is larger than \(limit) bytes")
  }
}
