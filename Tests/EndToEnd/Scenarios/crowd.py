"""Clients of the API that hold connections: some say nothing, some send a request's head byte by byte, some its body.

Usage: crowd.py PORT TOKEN IDLE HEADS BODIES [KEPT]. It holds as many as its limit of open files allows.
Prints a line of JSON when all are connected and those that talk have begun, one when at most KEPT are left, and one when
none is.
"""

import json, resource, select, socket, sys

port, token = int(sys.argv[1]), sys.argv[2]
idle, heads, bodies = map(int, sys.argv[3:6])
kept = int(sys.argv[6]) if len(sys.argv) > 6 else 0

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
idle = min(idle, hard - heads - bodies - 100)

HEAD = b"GET /v1/calls HTTP/1.1\r\nHost: x\r\nX-Long: "
BODY = (
    "POST /v1/calls/x/hangup HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
    "Content-Type: application/json\r\nContent-Length: 10000\r\n\r\n" % token
).encode()

poll = select.epoll()
clients = {}
counts = {"connected": 0, "ended": 0, "told": 0}


class Client:
    def __init__(self, kind):
        self.kind = kind
        self.answer = b""
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setblocking(False)
        clients[self.socket.fileno()] = self
        poll.register(self.socket, select.EPOLLIN | select.EPOLLRDHUP)
        counts["connected"] += 1

    def end(self):
        poll.unregister(self.socket)
        del clients[self.socket.fileno()]
        self.socket.close()
        counts["told" if self.answer.startswith(b"HTTP/1.1 408 ") else "ended"] += 1


def look(seconds):
    for number, _ in poll.poll(seconds):
        client = clients[number]
        try:
            data = client.socket.recv(65536)
        except OSError:
            data = b""
        client.answer += data
        if not data:
            client.end()


def talk(data):
    for client in list(clients.values()):
        if data.get(client.kind):
            try:
                client.socket.send(data[client.kind])
            except OSError:
                pass  # its end is read


def say():
    print(json.dumps(counts | {"left": len(clients)}), flush=True)


for kind, count in (("idle", idle), ("head", heads), ("body", bodies)):
    for number in range(count):
        Client(kind)
        if number % 100 == 99:
            look(0)
talk({"head": HEAD, "body": BODY})
for _ in range(10):
    talk({"head": b"x", "body": b" "})
    look(0)
say()
is_settled = False
while clients:
    # So slowly that no limit of sizes is met, and without an end.
    look(0.2)
    talk({"head": b"x", "body": b" "})
    if kept and not is_settled and len(clients) <= kept:
        is_settled = True
        say()
say()
