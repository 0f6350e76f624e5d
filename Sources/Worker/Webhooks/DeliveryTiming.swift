/// How often a process looks around, and how the processes of one database tell the living from the dead.
public struct DeliveryTiming: Sendable, Hashable {
  /// How often webhooks, other processes and the record are looked at without a reason.
  public var look: Duration = .seconds(2)
  /// How often a process shows that it lives.
  public var renewal: Duration = .milliseconds(1500)
  /// Without a sign of life that was kept, nothing is sent after this: three renewals may fail.
  public var validity: Duration = .seconds(5)
  /// How often a place in the record is kept for which nothing was sent.
  public var idleCheckpoint: Duration = .seconds(5)
  /// The pause after the database failed.
  public var databaseRetry: Duration = .seconds(1)

  public init() {}
}
