extension DialogExample {
  /// What works, but perhaps not as it was meant: in the way a call takes.
  static func ofWarning(_ code: DialogCode) -> DialogExample? {
    switch code {
    case .unreachableState:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start: { terminal: true }
              forgotten: { terminal: true }
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
    case .deadEnd:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: play_tts, text: "Hello." }
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
    case .noSilenceHandler:
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
                  - { event: no_input, target: end }
              end: { terminal: true }
            """)
        ])
    case .noUnmatchedHandler:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                transitions:
                  - { event: speech, when: "transcript == 'yes please'", target: end }
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
                  - { event: speech, when: "transcript == 'yes please'", target: end }
                  - { event: no_match, target: end }
                  - { event: no_input, target: end }
              end: { terminal: true }
            """)
        ])
    case .shadowedTransition:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                transitions:
                  - { event: dtmf, target: other }
                  - { event: dtmf, digits: "1", target: one }
                  - { event: no_input, target: other }
              one: { terminal: true }
              other: { terminal: true }
            """)
        ],
        right: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                transitions:
                  - { event: dtmf, digits: "1", target: one }
                  - { event: dtmf, target: other }
                  - { event: no_input, target: other }
              one: { terminal: true }
              other: { terminal: true }
            """)
        ])
    case .loopWithoutInput:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: play_tts, text: "Please hold." }
                  - { action: goto, target: again }
              again:
                on_enter:
                  - { action: goto, target: start }
            """)
        ],
        right: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: play_tts, text: "Press a key to go on." }
                transitions:
                  - { event: dtmf, target: end }
                  - { event: no_input, target: start }
              end: { terminal: true }
            """)
        ])
    case .unusedVariable:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            variables: { spare: 1 }
            states:
              start: { terminal: true }
            """)
        ],
        right: [
          DialogExample.File(
            "dialog.yaml",
            """
            variables: { spare: 1 }
            states:
              start:
                on_enter:
                  - { action: play_tts, text: "{{ spare }}" }
                terminal: true
            """)
        ])
    case .unmaskedSecret:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            variables: { pin: "" }
            states:
              start:
                on_enter:
                  - { action: play_tts, text: "Please key in your PIN." }
                  - { action: collect_digits, max: 4, into: pin }
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
            variables: { pin: { value: "", mask: true } }
            states:
              start:
                on_enter:
                  - { action: play_tts, text: "Please key in your PIN." }
                  - { action: collect_digits, max: 4, into: pin }
                transitions:
                  - { event: dtmf, target: end }
                  - { event: no_input, target: end }
              end: { terminal: true }
            """)
        ])
    case .wordAsText:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            variables: { department: "", choice: "" }
            outcome: { variables: [department] }
            states:
              start:
                on_enter:
                  - { action: set_variable, choice: departmnet }
                terminal: true
            """)
        ],
        right: [
          DialogExample.File(
            "dialog.yaml",
            """
            variables: { department: "", choice: "" }
            outcome: { variables: [department] }
            states:
              start:
                on_enter:
                  - { action: set_variable, choice: department }
                terminal: true
            """)
        ])
    case .unreachableAction:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: hangup }
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
                  - { action: play_tts, text: "Goodbye." }
                  - { action: hangup }
            """)
        ])
    case .hookErrorUnhandled:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: call_hook, service: crm }
                transitions:
                  - { event: hook_result, target: end }
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
                  - { action: call_hook, service: crm }
                transitions:
                  - { event: hook_result, target: end }
                  - { event: hook_error, target: end }
              end: { terminal: true }
            """)
        ])
    case .undeclaredVariable:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
                on_enter:
                  - { action: set_variable, department: sales }
                terminal: true
            """)
        ],
        right: [
          DialogExample.File(
            "dialog.yaml",
            """
            variables: { department: "" }
            states:
              start:
                on_enter:
                  - { action: set_variable, department: sales }
                terminal: true
            """)
        ])
    case .nothingToRecognize:
      DialogExample(
        wrong: [
          DialogExample.File(
            "dialog.yaml",
            """
            states:
              start:
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
                listen: { hints: [opening hours, directions] }
                transitions:
                  - { event: speech, target: end }
                  - { event: no_input, target: end }
              end: { terminal: true }
            """)
        ])
    default: nil
    }
  }
}
