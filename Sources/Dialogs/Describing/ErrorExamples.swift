/// A mistake and how it is mended: files as a person would write them. A test loads each and looks for the code.
public struct DialogExample: Sendable {
  public struct File: Sendable {
    public var name: String
    public var yaml: String

    init(_ name: String, _ yaml: String) {
      self.name = name
      self.yaml = yaml + "\n"
    }
  }
  /// What gives the code.
  public var wrong: [File]
  /// The same, mended.
  public var right: [File]

  static let tooManyActions: String =
    "states:\n  start:\n    on_enter:\n"
    + String(repeating: "      - { action: log, message: \"again\" }\n", count: DialogDecoder.actionLimit + 1)
    + "    terminal: true"
}

extension DialogCode {
  public var example: DialogExample {
    DialogExample.ofError(self) ?? DialogExample.ofContradiction(self) ?? DialogExample.ofWarning(self)
      ?? DialogExample.ofOversight(self) ?? DialogExample(wrong: [], right: [])
  }
}

extension DialogExample {
  /// Mistakes that keep a dialog out: in words, keys and expressions.
  static func ofError(_ code: DialogCode) -> DialogExample? {
    switch code {
    case .notAMapping:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            hello
            """)
        ],
        right: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start: { terminal: true }
            """)
        ])
    case .unknownKey:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                on_entr:
                  - { action: play_tts, text: "Hello." }
                terminal: true
            """)
        ],
        right: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: play_tts, text: "Hello." }
                terminal: true
            """)
        ])
    case .missingKey:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                on_enter:
                  - action: play_tts
                terminal: true
            """)
        ],
        right: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                on_enter:
                  - action: play_tts
                    text: "Hello."
                terminal: true
            """)
        ])
    case .badType:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                on_enter: play_tts
                terminal: true
            """)
        ],
        right: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: play_tts, text: "Hello." }
                terminal: true
            """)
        ])
    case .badValue:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: play_tts, text: "Hello.", speed: 9 }
                terminal: true
            """)
        ],
        right: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: play_tts, text: "Hello.", speed: 1.5 }
                terminal: true
            """)
        ])
    case .unknownEvent:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                transitions:
                  - { event: speach, target: end }
                  - { event: no_input, target: end }
                listen: { hints: [hello there] }
              end: { terminal: true }
            """)
        ],
        right: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                transitions:
                  - { event: speech, target: end }
                  - { event: no_input, target: end }
                listen: { hints: [hello there] }
              end: { terminal: true }
            """)
        ])
    case .unknownAction:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: say, text: "Hello." }
                terminal: true
            """)
        ],
        right: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: play_tts, text: "Hello." }
                terminal: true
            """)
        ])
    case .unknownFunction:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: play_tts, text: "{{ uppercase(caller_id) }}" }
                terminal: true
            """)
        ],
        right: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: play_tts, text: "{{ upper(caller_id) }}" }
                terminal: true
            """)
        ])
    case .unknownTarget:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                transitions:
                  - { event: dtmf, target: the_end }
                  - { event: no_input, target: end }
              end: { terminal: true }
            """)
        ],
        right: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                transitions:
                  - { event: dtmf, target: end }
                  - { event: no_input, target: end }
              end: { terminal: true }
            """)
        ])
    case .unknownName:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: play_tts, text: "Hello {{ visitor }}." }
                terminal: true
            """)
        ],
        right: [
          DialogExample.File(
            "dialog.yaml",
            """
            variables: { visitor: "" }
            states:
              start:
                on_enter:
                  - { action: play_tts, text: "Hello {{ visitor }}." }
                terminal: true
            """)
        ])
    case .badExpression:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                transitions:
                  - { event: dtmf, when: "digits = '1'", target: end }
                  - { event: no_input, target: end }
              end: { terminal: true }
            """)
        ],
        right: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                transitions:
                  - { event: dtmf, when: "digits == '1'", target: end }
                  - { event: no_input, target: end }
              end: { terminal: true }
            """)
        ])
    case .typeMismatch:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                transitions:
                  - { event: dtmf, when: "digits > 5", target: end }
                  - { event: no_input, target: end }
              end: { terminal: true }
            """)
        ],
        right: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                transitions:
                  - { event: dtmf, when: "int(digits) > 5", target: end }
                  - { event: no_input, target: end }
              end: { terminal: true }
            """)
        ])
    default: nil
    }
  }
}
