extension DialogExample {
  /// What works, but perhaps not as it was meant: in agent states, with the other party, and between dialogs.
  static func ofOversight(_ code: DialogCode) -> DialogExample? {
    switch code {
    case .undescribed:
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
                    - { name: done, target: end }
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
                    - { name: done, description: The caller needs nothing else, target: end }
              end: { terminal: true }
            """)
        ])
    case .agentWithoutExit:
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
                    - { name: done, description: The caller needs nothing else, target: end }
              end: { terminal: true }
            """)
        ])
    case .agentWithoutFallback:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                agent:
                  prompt: Help the caller.
                  exits:
                    - { name: done, description: The caller needs nothing else, target: end }
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
                    - { name: done, description: The caller needs nothing else, target: end }
              end: { terminal: true }
            """)
        ])
    case .transferUnhandled:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: transfer, target: "sip:sales@example.com", mode: attended }
                transitions:
                  - { event: no_input, target: sorry }
              sorry:
                on_enter:
                  - { action: play_tts, text: "Nobody is there at the moment." }
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
                  - { action: transfer, target: "sip:sales@example.com", mode: attended }
                transitions:
                  - { event: transfer_result, when: "status != 'connected'", target: sorry }
                  - { event: no_input, target: sorry }
              sorry:
                on_enter:
                  - { action: play_tts, text: "Nobody is there at the moment." }
                terminal: true
            """)
        ])
    case .notCarriedOut:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: hold }
                transitions:
                  - { event: call_held, target: end }
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
                  - { action: play_tts, text: "One moment, please." }
                transitions:
                  - { event: tts_complete, target: end }
              end: { terminal: true }
            """)
        ])
    case .unknownDialog:
      DialogExample(
        wrong: [
          DialogExample.File(
            "main.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: run_dialog, name: adress }
                terminal: true
            """),
          DialogExample.File(
            "address.yaml",
            """
            variables: { city: "" }
            outcome: { variables: [city] }
            states:
              start: { terminal: true }
            """),
        ],
        right: [
          DialogExample.File(
            "main.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: run_dialog, name: address }
                terminal: true
            """),
          DialogExample.File(
            "address.yaml",
            """
            variables: { city: "" }
            outcome: { variables: [city] }
            states:
              start: { terminal: true }
            """),
        ])
    case .dialogCallsItself:
      DialogExample(
        wrong: [
          DialogExample.File(
            "main.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: run_dialog, name: address }
                terminal: true
            """),
          DialogExample.File(
            "address.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: run_dialog, name: main }
                terminal: true
            """),
        ],
        right: [
          DialogExample.File(
            "main.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: run_dialog, name: address }
                terminal: true
            """),
          DialogExample.File(
            "address.yaml",
            """
            variables: { city: "" }
            outcome: { variables: [city] }
            states:
              start: { terminal: true }
            """),
        ])
    case .unknownParameter:
      DialogExample(
        wrong: [
          DialogExample.File(
            "main.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: run_dialog, name: address, variables: { town: "'Berlin'" } }
                terminal: true
            """),
          DialogExample.File(
            "address.yaml",
            """
            variables: { city: "" }
            outcome: { variables: [city] }
            states:
              start: { terminal: true }
            """),
        ],
        right: [
          DialogExample.File(
            "main.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: run_dialog, name: address, variables: { city: "'Berlin'" } }
                terminal: true
            """),
          DialogExample.File(
            "address.yaml",
            """
            variables: { city: "" }
            outcome: { variables: [city] }
            states:
              start: { terminal: true }
            """),
        ])
    case .sameRouting:
      DialogExample(
        wrong: [
          DialogExample.File(
            "sales.yaml",
            """
            routing: { match: [{ sip_to: "sip:shop@*" }] }
            states:
              start: { terminal: true }
            """),
          DialogExample.File(
            "support.yaml",
            """
            routing: { match: [{ sip_to: "sip:shop@*" }] }
            states:
              start: { terminal: true }
            """),
        ],
        right: [
          DialogExample.File(
            "sales.yaml",
            """
            routing: { match: [{ sip_to: "sip:shop@*" }] }
            states:
              start: { terminal: true }
            """),
          DialogExample.File(
            "support.yaml",
            """
            routing: { match: [{ sip_to: "sip:help@*" }] }
            states:
              start: { terminal: true }
            """),
        ])
    case .impossibleEvent:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: play_tts, text: "Press a key." }
                transitions:
                  - { event: dtmf, target: end }
                  - { event: timeout, target: end }
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
                  - { action: play_tts, text: "Press a key." }
                transitions:
                  - { event: dtmf, target: end }
                  - { event: timeout, target: end }
                timeout: 8s
              end: { terminal: true }
            """)
        ])
    case .afterTheEnd:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: play_tts, text: "Hello." }
                terminal: true
            on:
              - event: hangup
                do:
                  - { action: play_tts, text: "Goodbye." }
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
            on:
              - event: hangup
                do:
                  - { action: emit, name: call_lost, data: { who: "{{ who }}" } }
            """)
        ])
    case .uselessListening:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                listen: { hints: [opening hours, directions] }
                transitions:
                  - { event: dtmf, target: end }
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
                listen: { hints: [opening hours, directions] }
                transitions:
                  - { event: speech, target: end }
                  - { event: dtmf, target: end }
                  - { event: no_input, target: end }
              end: { terminal: true }
            """)
        ])
    case .impossibleRule:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            routing: { match: [{ sip_to: sales }] }
            states:
              start: { terminal: true }
            """)
        ],
        right: [
          DialogExample.File(
            "dialog.yaml",
            """
            routing: { match: [{ sip_to: "sip:sales@*" }] }
            states:
              start: { terminal: true }
            """)
        ])
    default: nil
    }
  }
}
