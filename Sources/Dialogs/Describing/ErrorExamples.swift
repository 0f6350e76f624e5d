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

  fileprivate static let tooManyActions: String =
    "states:\n  start:\n    on_enter:\n"
    + String(repeating: "      - { action: log, message: \"again\" }\n", count: DialogDecoder.actionLimit + 1)
    + "    terminal: true"
}

extension DialogCode {
  public var example: DialogExample {
    DialogExample.ofError(self) ?? DialogExample.ofWarning(self) ?? DialogExample(wrong: [], right: [])
  }
}

extension DialogExample {
  /// Mistakes that keep a dialog out.
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
    case .noInitialState:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              greeting: { terminal: true }
            """)
        ],
        right: [
          DialogExample.File(
            "dialog.yaml",
            """
            initial_state: greeting
            states:
              greeting: { terminal: true }
            """)
        ])
    case .duplicateDialog:
      DialogExample(
        wrong: [
          DialogExample.File(
            "sales.yaml",
            """
            states:
              start: { terminal: true }
            """),
          DialogExample.File(
            "support.yaml",
            """
            name: sales
            states:
              start: { terminal: true }
            """),
        ],
        right: [
          DialogExample.File(
            "sales.yaml",
            """
            states:
              start: { terminal: true }
            """),
          DialogExample.File(
            "support.yaml",
            """
            name: support
            states:
              start: { terminal: true }
            """),
        ])
    case .badGrammar:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                listen: { grammar: "(yes | no" }
                transitions:
                  - { event: speech, target: end }
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
                listen: { grammar: "(yes | no) [please]" }
                transitions:
                  - { event: speech, target: end }
                  - { event: no_input, target: end }
              end: { terminal: true }
            """)
        ])
    case .badDuration:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            settings: { timeout: 8 }
            states:
              start: { terminal: true }
            """)
        ],
        right: [
          DialogExample.File(
            "dialog.yaml",
            """
            settings: { timeout: 8s }
            states:
              start: { terminal: true }
            """)
        ])
    case .badPattern:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                transitions:
                  - { event: dtmf, digits: "[1-", target: end }
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
                  - { event: dtmf, digits: "[1-5]", target: end }
                  - { event: no_input, target: end }
              end: { terminal: true }
            """)
        ])
    case .notSupported:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                on_enter:
                  - action: call_hook
                    url: "https://example.com/intent"
                    auth_type: bearer
                    auth_secret: "4711"
                transitions:
                  - { event: "*", target: end }
              end: { terminal: true }
            """)
        ],
        right: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                on_enter:
                  - action: call_hook
                    service: intents
                transitions:
                  - { event: "*", target: end }
              end: { terminal: true }
            """)
        ])
    case .reservedName:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            variables: { transcript: "" }
            states:
              start: { terminal: true }
            """)
        ],
        right: [
          DialogExample.File(
            "dialog.yaml",
            """
            variables: { first_answer: "" }
            outcome: { variables: [first_answer] }
            states:
              start: { terminal: true }
            """)
        ])
    case .conflictingKeys:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                transitions:
                  - { event: speech, digits: "1", target: end }
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
                  - { event: dtmf, digits: "1", target: end }
                  - { event: no_input, target: end }
              end: { terminal: true }
            """)
        ])
    case .tooMany:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml", tooManyActions)
        ],
        right: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: log, message: "once" }
                terminal: true
            """)
        ])
    case .duplicateName:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                agent:
                  prompt: Help the caller.
                  fallback: end
                  exits:
                    - { name: done, description: The caller is happy, target: end }
                    - { name: done, description: The caller is angry, target: end }
              end: { terminal: true }
            """)
        ],
        right: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                agent:
                  prompt: Help the caller.
                  fallback: end
                  exits:
                    - { name: happy, description: The caller is happy, target: end }
                    - { name: angry, description: The caller is angry, target: end }
              end: { terminal: true }
            """)
        ])
    case .badSchema:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            variables: { plan: "" }
            states:
              start:
                agent:
                  prompt: Help the caller to choose a plan.
                  fallback: end
                  exits:
                    - { name: done, description: A plan is chosen, extract: { plan: text }, target: end }
              end: { terminal: true }
            """)
        ],
        right: [
          DialogExample.File(
            "dialog.yaml",
            """
            variables: { plan: "" }
            states:
              start:
                agent:
                  prompt: Help the caller to choose a plan.
                  fallback: end
                  exits:
                    - { name: done, description: A plan is chosen, extract: { plan: string }, target: end }
              end: { terminal: true }
            """)
        ])
    default: nil
    }
  }
}
