#!/usr/bin/env python3
"""Backends for the dialogs of examples/dialogs: customers, orders, a bank, telephone plans.

    examples/hooks/backends.py [PORT]               listens on 127.0.0.1, port 8091 unless told otherwise; 0 picks a free one
    examples/hooks/backends.py --answer PATH JSON   prints what it would answer to that request, and ends

Customer 123456 has the PIN 9876; orders are 4711 and 4712.
"""
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CUSTOMERS = {"123456": {"pin": "9876", "name": "Alex"}}
ORDERS = {"4711": {"state": "on its way", "day": "Friday"}, "4712": {"state": "delivered"}}
PLANS = {"small": 9, "medium": 19, "large": 29}


def answer(path, request):
    """The status and the JSON body for a hook request; the arguments of the dialog are its `payload`."""
    payload = request.get("payload") or {}
    if path == "/verify":
        customer = CUSTOMERS.get(payload.get("customer"))
        if customer is None or customer["pin"] != payload.get("pin"):
            return 200, {"data": {"ok": False}}
        return 200, {"data": {"ok": True, "name": customer["name"]}}
    if path == "/status":
        order = ORDERS.get(payload.get("number"))
        return (200, {"data": order}) if order else (404, {"error": "there is no such order"})
    if path == "/block-card":
        return 200, {"data": {"reference": "B" + str(payload.get("card", ""))[-4:]}}
    if path == "/lookup":
        price = PLANS.get(str(payload.get("name", "")).lower())
        return 200, {"data": {"monthly_price": price} if price else {"plans": sorted(PLANS)}}
    return 404, {"error": f"nothing answers {path}"}


class Backends(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        try:
            request = json.loads(self.rfile.read(min(length, 1 << 20)) or b"{}")
        except ValueError:
            return self.reply(400, {"error": "the body is not JSON"})
        if not isinstance(request, dict):
            return self.reply(400, {"error": "the body is not an object"})
        status, body = answer(self.path, request)
        # No payload here: card numbers and PINs belong into no log.
        print(f"backends: {self.path} for {request.get('caller_id')}: {status}", flush=True)
        self.reply(status, body)

    def reply(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "--answer":
        print(*answer(sys.argv[2], json.loads(sys.argv[3])))
        sys.exit(0)
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8091), Backends)
    print(f"backends: listening on http://127.0.0.1:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
