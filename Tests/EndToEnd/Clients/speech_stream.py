"""A WebSocket client that nobody here wrote streams a recording. Prints one JSON object of what came of it.

Usage: speech_stream.py URL TOKEN VIEWERS_TOKEN FILE.wav
"""
import asyncio
import json
import sys
import wave

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

URL, TOKEN, VIEWER, FILE = sys.argv[1:]
URL = URL.replace("http", "ws", 1) + "/v1/speech/stream"
with wave.open(FILE) as file:
    assert file.getnchannels() == 1 and file.getsampwidth() == 2
    RATE = file.getframerate()
    # A second of silence after it, as a microphone would have.
    SOUND = file.readframes(file.getnframes()) + bytes(2 * RATE)
PART = RATE // 50 * 2
found = {}


def opened(token=TOKEN):
    return connect(URL, additional_headers={"Authorization": f"Bearer {token}"})


async def message(socket):
    return json.loads(await asyncio.wait_for(socket.recv(), 60))


async def start(socket, **configuration):
    await socket.send(json.dumps({"sample_rate": RATE, **configuration}))
    return await message(socket)


async def speak(socket, sound):
    for i in range(0, len(sound), PART):
        await socket.send(sound[i : i + PART])


async def one_stream():
    async with opened() as socket:
        found["ready"] = (await start(socket, word_timestamps=True))["type"]
        # The rest is held back until the gateway has told what the first half holds.
        await speak(socket, SOUND[: len(SOUND) // 2 // PART * PART])
        messages = [await message(socket)]
        await speak(socket, SOUND[len(SOUND) // 2 // PART * PART :])
        await socket.send('{"type": "end"}')
        while messages[-1]["type"] != "done":
            messages.append(await message(socket))
        await socket.wait_closed()
        found["closed"] = socket.close_code
    found["messages"] = messages


async def place(**configuration):
    while True:
        socket = await opened()
        if (await start(socket, **configuration))["type"] == "ready":
            return socket
        await socket.close()


async def many_streams():
    """As many as there may be, one more, and one after a client has left without a word."""
    # The place of the stream before is free a moment after its end.
    sockets = [await place(partial_results=False) for _ in range(4)]
    sockets.append(await opened())
    found["fifth"] = (await start(sockets[4], partial_results=False))["type"]
    try:
        await socket_end(sockets[4])
    except ConnectionClosed as end:
        found["busy"] = [end.rcvd.code, end.rcvd.reason]
    sockets[0].transport.abort()
    sockets[0] = await place()
    for socket in sockets[:4]:
        await socket.close()


async def socket_end(socket):
    while True:
        await message(socket)


async def main():
    for name, token in [("viewer", VIEWER), ("stranger", "nobody-knows-this-token")]:
        try:
            async with opened(token):
                found[name] = 101
        except InvalidStatus as refusal:
            found[name] = refusal.response.status_code
    await one_stream()
    await many_streams()


asyncio.run(main())
print(json.dumps(found))
