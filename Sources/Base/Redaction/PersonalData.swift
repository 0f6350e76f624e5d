/// A kind of personal data that can be kept out of records (`security.pii.redact`).
public enum PersonalData: String, Sendable, CaseIterable {
  /// Numbers of payment cards: 13 to 19 digits with a right check digit (ISO/IEC 7812-1), written or spoken.
  case card
  /// Mail addresses, written or spoken.
  case email
  /// Telephone numbers: international (ITU-T E.164) and North American, written or spoken.
  case phone
  /// Social security numbers of the United States, written or spoken.
  case ssn
  /// Any other run of four digits or more, written or spoken.
  case digits
}
