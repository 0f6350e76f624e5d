#!/usr/bin/env python3
"""A ticketing backend to try hooks with: answers POST /on-intent with a ticket number.

    examples/hooks/ticketing.py [PORT]        listens on 127.0.0.1, port 8090 unless told otherwise; 0 picks a free one

Parley asks it in the middle of a call (`call_hook` in examples/dialogs/helpdesk.yaml); the answer's `data` becomes the
dialog's `result`.
"""
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

tickets = 4710


class Ticketing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        global tickets
        length = int(self.headers.get("Content-Length", 0))
        try:
            request = json.loads(self.rfile.read(min(length, 1 << 20)) or b"{}")
        except ValueError:
            return self.answer(400, {"error": "the body is not JSON"})
        tickets += 1
        print(f"ticketing: ticket {tickets} for {request.get('caller_id')}: {request.get('payload')}", flush=True)
        self.answer(200, {"data": {"ticket_id": str(tickets)}})

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8090), Ticketing)
    print(f"ticketing: listening on http://127.0.0.1:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
