import Base

/// Workflows in the shape that Dograh's API gives them, made up for these tests.
enum Workflows {
  /// Every node type, tools of every kind, words on an edge.
  static let clinic = #"""
    {
      "id": 17, "name": "Clinic intake", "status": "active", "created_at": "2026-01-05T10:00:00Z",
      "template_context_variables": { "clinic_name": "North Clinic", "opening_hours": "8 to 16" },
      "workflow_configurations": { "max_user_idle_timeout": 8, "max_call_duration": 420, "smart_turn_stop_secs": 2 },
      "call_disposition_codes": { "disposition_codes": ["BOOKED"] },
      "workflow_definition": {
        "viewport": { "x": 0, "y": 0, "zoom": 1 },
        "nodes": [
          { "id": "1", "type": "startCall", "position": { "x": 0, "y": 0 },
            "data": {
              "name": "Greeting", "greeting_type": "text",
              "greeting": "Hello {{first_name | fallback:there}}, this is {{clinic_name}}.",
              "prompt": "Find out why {{first_name}} calls. We are open {{opening_hours}}.",
              "allow_interrupt": false, "add_global_prompt": true, "delayed_start": true, "delayed_start_duration": 1.5,
              "pre_call_fetch_enabled": true, "pre_call_fetch_url": "https://crm.example/lookup",
              "pre_call_fetch_credential_uuid": "c-1", "is_start": true, "invalid": false } },
          { "id": "2", "type": "agentNode", "position": { "x": 0, "y": 200 },
            "data": {
              "name": "Book: the visit", "prompt": "Offer {{gathered_context.doctor.name}} first.",
              "extraction_enabled": true, "extraction_prompt": "Note what was agreed.",
              "extraction_variables": [
                { "name": "visit_day", "type": "string", "prompt": "The agreed weekday" },
                { "name": "status", "type": "boolean", "prompt": "Whether they are insured" },
                { "name": "party", "type": "number" }
              ],
              "tool_uuids": ["t-http", "t-mcp", "t-end", "t-transfer", "t-calc", "t-unknown"],
              "mcp_tool_filters": { "t-mcp": ["list_slots", "book_slot"] },
              "document_uuids": ["d-1"], "selected_through_edge": true } },
          { "id": "3", "type": "endCall", "position": { "x": 0, "y": 400 },
            "data": { "name": "Goodbye", "prompt": "Thank them and say goodbye.", "add_global_prompt": false } },
          { "id": "4", "type": "globalNode", "position": { "x": 300, "y": 0 },
            "data": { "name": "Persona", "prompt": "You are Kim, calm and brief. Never say {{ 1 + 1 }}." } },
          { "id": "5", "type": "webhook", "position": { "x": 300, "y": 200 },
            "data": {
              "name": "CRM", "enabled": true, "http_method": "PUT", "endpoint_url": "https://crm.example/calls",
              "credential_uuid": "c-2", "custom_headers": [ { "key": "X-Source", "value": "voice {{clinic_name}}" } ],
              "payload_template": {
                "call": "{{workflow_run_id}}", "day": "{{gathered_context.visit_day}}", "tape": "{{recording_url}}",
                "nested": { "deep": [1, "{{caller_number}}"] } },
              "retry_config": { "enabled": true, "max_retries": 3 } } },
          { "id": "6", "type": "webhook", "position": { "x": 300, "y": 300 },
            "data": { "name": "Old", "enabled": false, "endpoint_url": "https://old.example" } },
          { "id": "7", "type": "trigger", "position": { "x": 300, "y": 400 },
            "data": { "name": "API", "enabled": true, "trigger_path": "abc" } },
          { "id": "8", "type": "qa", "position": { "x": 300, "y": 500 },
            "data": {
              "name": "Review", "qa_enabled": true, "qa_system_prompt": "Was the caller treated well? {transcript}",
              "qa_min_call_duration": 30, "qa_model": "default", "qa_use_workflow_llm": true } },
          { "id": "9", "type": "slackNotify", "position": { "x": 0, "y": 0 }, "data": { "name": "Slack" } }
        ],
        "edges": [
          { "id": "1-2", "source": "1", "target": "2",
            "data": {
              "label": "Wants a visit", "condition": "The caller wants to come by.",
              "transition_speech": "Let me look at the calendar, {{first_name}}." } },
          { "id": "1-3", "source": "1", "target": "3",
            "data": { "label": "Wants a visit", "condition": "The caller wants nothing." } },
          { "id": "2-3", "source": "2", "target": "3", "data": { "label": "Done ✓", "condition": "All is said." } },
          { "id": "2-9", "source": "2", "target": "9", "data": { "label": "Slack", "condition": "Never." } }
        ]
      }
    }
    """#

  static let clinicTools = #"""
    [
      { "tool_uuid": "t-http", "name": "Find Slots!", "description": "Free times of a day", "category": "http_api",
        "definition": { "schema_version": 1, "type": "http_api", "config": {
          "method": "GET", "url": "https://slots.example/{{clinic_name}}/free", "headers": { "X-Key": "abc", "bad name": "x" },
          "timeout_ms": 2500, "credential_uuid": "c-3", "customMessage": "One moment.",
          "parameters": [
            { "name": "day", "type": "string", "description": "The weekday", "required": true },
            { "name": "late", "type": "boolean", "description": "After five", "required": false },
            { "name": "not a name", "type": "string", "description": "" } ],
          "preset_parameters": [ { "name": "phone", "type": "string", "value_template": "{{caller_number}}" } ] } } },
      { "tool_uuid": "t-mcp", "name": "Calendar", "description": "", "category": "mcp",
        "definition": { "type": "mcp", "config": { "url": "https://mcp.example", "transport": "streamable_http" } } },
      { "tool_uuid": "t-end", "name": "Hang up", "description": "Use it when the caller is rude", "category": "end_call",
        "definition": { "type": "end_call", "config": {
          "messageType": "custom", "customMessage": "I will end the call now.", "endCallReason": true } } },
      { "tool_uuid": "t-transfer", "name": "Front desk", "description": "To a person", "category": "transfer_call",
        "definition": { "type": "transfer_call", "config": {
          "destination": "PJSIP/desk", "messageType": "custom", "customMessage": "One moment please.", "timeout": 25 } } },
      { "tool_uuid": "t-calc", "name": "Calculator", "description": "", "category": "calculator",
        "definition": { "type": "calculator", "config": {} } }
    ]
    """#

  /// A start that leads back to itself over two agents, without an end; static nodes of older versions.
  static let circle = #"""
    {
      "nodes": [
        { "id": 1, "type": "startCall",
          "data": { "name": "挨拶", "prompt": "Hello: who is there?", "is_static": true, "wait_for_user_response": true } },
        { "id": 2, "type": "agentNode", "data": { "name": "Ask", "prompt": "Ask \"why\"; use 'quotes', #hashes & *stars*: all." } },
        { "id": 3, "type": "agentNode", "data": { "name": "Ask", "prompt": "Line one\n  - item {{ a.b[0] }}\n\tTab {{x" } },
        { "id": 4, "type": "endCall", "data": { "name": "End", "prompt": "Bye {{name}} and {{name.first}}.", "is_static": true } }
      ],
      "edges": [
        { "id": 1, "source": 1, "target": 2, "data": { "label": "one", "condition": "always" } },
        { "id": 2, "source": 2, "target": 3, "data": { "label": "two", "condition": "" } },
        { "id": 3, "source": 3, "target": 1, "data": { "label": "три", "condition": "again" } },
        { "id": 4, "source": 3, "target": 77, "data": { "label": "x", "condition": "y" } },
        { "id": 5, "source": 4, "target": 1, "data": { "label": "x", "condition": "y" } },
        { "id": 6, "source": 2, "target": 4, "data": { "label": "end", "condition": "done" } }
      ]
    }
    """#

  /// What a first click on "new" gives.
  static let smallest =
    #"{"nodes": [{"id": "1", "type": "startCall", "data": {"name": "Start", "prompt": "Hi"}}], "edges": []}"#
}
