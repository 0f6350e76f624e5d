"""The relay of DialogMachine.swift as a machine of PyPI's `transitions`: two states, two guards a turn, the second holds."""

import json
import re
import statistics
import time

from transitions import Machine

PATTERN = re.compile("go on|next", re.IGNORECASE)


class Relay:
    threshold = 0.4

    def stops(self, transcript, confidence):
        return transcript == "stop" and confidence > self.threshold

    def matches(self, transcript, confidence):
        return bool(PATTERN.search(transcript)) and confidence > self.threshold

    def contains(self, transcript, confidence):
        return "go" in transcript.lower() and confidence > self.threshold


relay = Relay()
machine = Machine(relay, states=["start", "other", "done"], initial="start", auto_transitions=False)
machine.add_transition("speech", "start", "done", conditions="stops")
machine.add_transition("speech", "start", "other", conditions="matches")
machine.add_transition("speech", "other", "done", conditions="stops")
machine.add_transition("speech", "other", "start", conditions="contains")

COUNT = 20_000
rates = []
for _ in range(7):
    begin = time.thread_time()
    for _ in range(COUNT):
        relay.speech(transcript="go on please", confidence=0.9)
    rates.append(COUNT / (time.thread_time() - begin))
assert relay.state == "start"
print(json.dumps({"transitions_per_second": statistics.median(rates)}))
