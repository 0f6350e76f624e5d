"""OpenAI's own client speaks and listens through the gateway. Prints one JSON object of what came of it.

Usage: openai_speech.py URL TOKEN
"""
import asyncio
import io
import json
import sys
import wave

import openai

URL, TOKEN = sys.argv[1:]
SENTENCE = "Please call me back tomorrow morning."
WORDS = SENTENCE.lower().rstrip(".").split()
client = openai.OpenAI(base_url=f"{URL}/v1", api_key=TOKEN, max_retries=0, timeout=60)
found = {"formats": {}}


def right(text):
    """The share of the sentence's words that was heard, in their order."""
    heard = text.lower().split()
    table = [[0] * (len(heard) + 1) for _ in range(len(WORDS) + 1)]
    for i, word in enumerate(WORDS):
        for j, other in enumerate(heard):
            same = table[i][j] + 1 if word == other else 0
            table[i + 1][j + 1] = max(same, table[i][j + 1], table[i + 1][j])
    return table[-1][-1] / len(WORDS)


def spoken(response_format, **more):
    return client.audio.speech.create(
        model="tts-1", voice="onyx", input=SENTENCE, response_format=response_format, **more
    ).read()


def heard(sound, name, **more):
    return client.audio.transcriptions.create(model="whisper-1", file=(name, sound), **more)


for name in ["wav", "flac", "opus", "mp3", "pcm"]:
    sound = spoken(name)
    if name == "pcm":
        # OpenAI's samples without a head: 24 kHz, 16 bit, mono.
        file = io.BytesIO()
        with wave.open(file, "wb") as out:
            out.setnchannels(1), out.setsampwidth(2), out.setframerate(24000)
            out.writeframes(sound)
        sound = file.getvalue()
    found["formats"][name] = right(heard(sound, f"speech.{name}").text)

sound = spoken("wav")
verbose = heard(sound, "a.wav", response_format="verbose_json", timestamp_granularities=["word", "segment"])
found["duration"] = verbose.duration
found["words"] = [[word.word, word.start, word.end] for word in verbose.words]
found["segments"] = len(verbose.segments)
found["srt"] = heard(sound, "a.wav", response_format="srt")
events = list(heard(sound, "a.wav", stream=True))
found["events"] = [event.type for event in events]
found["streamed"] = "".join(event.delta for event in events[:-1]) == events[-1].text
with client.audio.speech.with_streaming_response.create(
    model="tts-1", voice="slt", input=SENTENCE * 5, response_format="pcm"
) as response:
    found["chunks"] = sum(1 for _ in response.iter_bytes(4096))
found["models"] = [model.id for model in client.models.list()]

for name, call in {
    "aac": lambda: spoken("aac"),
    "instructions": lambda: spoken("mp3", instructions="sing"),
    "voice": lambda: client.audio.speech.create(model="tts-1", voice="nobody", input="hello"),
    "model": lambda: client.audio.speech.create(model="gpt-9", voice="alloy", input="hello"),
    "file": lambda: heard(b"no sound at all", "a.wav"),
    "token": lambda: client.with_options(api_key="wrong").models.list(),
}.items():
    try:
        call()
        found[name] = "it was done"
    except openai.APIStatusError as error:
        found[name] = [type(error).__name__, error.param, error.message]


async def together():
    """Several at once: whoever finds no room is told to come again."""
    asynchronous = openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key=TOKEN, max_retries=20, timeout=60)
    texts = await asyncio.gather(
        *(asynchronous.audio.transcriptions.create(model="whisper-1", file=("a.wav", sound)) for _ in range(12))
    )
    return [right(text.text) for text in texts]


found["together"] = asyncio.run(together())
print(json.dumps(found))
