#!/usr/bin/env python3
"""A customer database that knows callers: greets them by name and hears of the end of every call. Takes only signed requests.

    examples/hooks/crm.py SECRET [PORT]     listens on 127.0.0.1, port 8092 unless told otherwise; 0 picks a free one

The service in Parley's configuration:

    crm:
      url: http://127.0.0.1:8092
      events: [call_start, call_end]
      auth: { type: hmac, secret: SECRET }
"""
import hashlib
import hmac
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CALLERS = {"4930123": {"customer": "Ann", "tier": "gold"}}


def is_signed(secret, header, body, now=None, tolerance=300):
    """Whether `header` (X-Parley-Signature-256) was made of `body`, in bytes, by somebody who knows `secret`."""
    parts = [part.split("=", 1) for part in header.split(",") if "=" in part]
    timestamp = next((value for name, value in parts if name == "t"), "")
    if not timestamp.isdigit() or abs((now or time.time()) - int(timestamp)) > tolerance:
        return False
    expected = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return any(name == "v1" and hmac.compare_digest(value, expected) for name, value in parts)


def answer(path, request):
    """The status and the JSON body for a request of Parley."""
    if path == "/on-call-start":
        caller = CALLERS.get(request.get("caller_id"))
        return 200, {"variables": caller} if caller else {}
    if path == "/on-intent":
        return 200, {"data": {"heard": request.get("transcript", "")}}
    if path == "/on-call-end":
        return 204, None
    return 404, {"error": f"nothing answers {path}"}


class CRM(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    secret = ""

    def do_POST(self):
        body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), 1 << 20))
        if not is_signed(self.secret, self.headers.get("X-Parley-Signature-256", ""), body):
            return self.reply(401, {"error": "the request is not signed with the secret of this service"})
        status, value = answer(self.path, json.loads(body or b"{}"))
        print(f"crm: {self.path}: {status}", flush=True)
        self.reply(status, value)

    def reply(self, status, value):
        data = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: crm.py SECRET [PORT]")
    CRM.secret = sys.argv[1]
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 8092), CRM)
    print(f"crm: listening on http://127.0.0.1:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
