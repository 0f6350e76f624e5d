extension DialogExample {
  /// Mistakes that keep a dialog out: in what its parts make together.
  static func ofContradiction(_ code: DialogCode) -> DialogExample? {
    switch code {
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
