"""A webhook receiver that does everything wrong that a receiver can, and keeps account of what it took.

Usage: hostile_receiver.py PORT_FILE LOG SECRETS_FOLDER. `receiver.py`, of docs/api/webhooks.md, lies beside it.
It listens on the port in PORT_FILE, or on a free one that it writes there and prints. Each request is a line of LOG.
"""

import json, os, random, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.path.insert(0, os.getcwd())
from receiver import verify

port_file, log_file, secrets = sys.argv[1:4]
# What it does with its requests, in order; a restart goes on where the last life ended.
WILD = ["take", "close", "stall", "redirect", "fail", "busy", "take", "crash"]
lock = threading.Lock()
chance = random.Random(os.getpid())


def seen(path):
    with open(log_file) as lines:
        return sum(1 for line in lines if json.loads(line)["path"] == path)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            with open(os.path.join(secrets, self.path.strip("/"))) as file:
                secret = file.read()
        except FileNotFoundError:
            secret = None
        event = json.loads(body)
        with lock:
            number = seen(self.path)
            act = "take"
            if self.path == "/wild":
                act = WILD[number] if number < len(WILD) else chance.choice(["take"] * 6 + WILD[1:-1])
            if self.path == "/gone" and number >= 3:
                act = "gone"
            if secret is None:
                act = "close"
            line = {
                "path": self.path,
                "act": act,
                "valid": secret is not None and verify(self.headers["X-Parley-Signature-256"], body, [secret]),
                "delivery": self.headers["X-Parley-Delivery"],
                "type": event["type"],
                "session_id": event["session_id"],
                "sequence": event["sequence"],
            }
            with open(log_file, "a") as lines:
                lines.write(json.dumps(line) + "\n")
        if act == "take":
            self.answer(200)
        elif act == "gone":
            self.answer(410)
        elif act == "fail":
            self.answer(500)
        elif act == "busy":
            self.answer(429, [("Retry-After", "0")])
        elif act == "redirect":
            self.answer(307, [("Location", f"http://127.0.0.1:{self.server.server_port}/good")])
        elif act == "stall":
            time.sleep(1.5)
        elif act == "close":
            self.close_connection = True
        elif act == "crash":
            os._exit(1)


class Server(ThreadingHTTPServer):
    allow_reuse_address = True
    request_queue_size = 128


def end_with_parent(parent):
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(0)


threading.Thread(target=end_with_parent, args=(os.getppid(),), daemon=True).start()
open(log_file, "a").close()
port = int(open(port_file).read()) if os.path.exists(port_file) else 0
server = Server(("127.0.0.1", port), Handler)
if not port:
    with open(port_file + ".part", "w") as file:
        file.write(str(server.server_port))
    os.rename(port_file + ".part", port_file)
    print(server.server_port, flush=True)
server.serve_forever()
