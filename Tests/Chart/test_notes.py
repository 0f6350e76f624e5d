"""NOTES.txt: what is printed after installing."""
import functools
import os
import re

import pytest

from cases import SWITCHES, values
from chart import CHART, EXAMPLES, NAMESPACE, RELEASE, DEFAULTS, install, installed, merged, values as read

# kubectl's words for kinds.
WORDS = {"deploy": "Deployment", "deployment": "Deployment", "statefulset": "StatefulSet", "service": "Service", "svc": "Service",
         "secret": "Secret", "job": "Job", "ingress": "Ingress", "configmap": "ConfigMap", "certificate": "Certificate",
         "httproute": "HTTPRoute", "gateway": "Gateway"}
CASES = {
    "defaults": {},
    **{example: read(os.path.join(CHART, "examples", example)) for example in EXAMPLES},
    **{f"{switch}: {choice}": SWITCHES[switch][choice] for switch, choice in [
        ("media", "of the pod, NodePort"), ("mtls", "by the chart"), ("mtls", "own issuer"), ("names", "given"), ("dialogs", "none"),
        ("exposure", "ingress"), ("exposure", "gateway of ours")]},
}


@functools.lru_cache(maxsize=None)
def of(case):
    return installed(install(CASES[case]), merged(DEFAULTS, CASES[case]))


def commands(notes):
    return [line.strip() for line in notes.splitlines() if re.match(r"\s+(kubectl|helm|curl|export) ", line)]


def named(command):
    """(kind, name) of the objects that a command of kubectl names."""
    for word, kind in WORDS.items():
        for name in re.findall(rf"\b{word}[/ ]([a-z0-9][-a-z0-9]*)\b", command):
            if not (word == "configmap" and " create " in command):
                yield kind, name


@pytest.mark.parametrize("case", CASES)
def test_commands_name_what_is_there(case):
    release, notes = of(case)
    there = {(d["kind"], d["metadata"]["name"]) for d in release.documents}
    there |= {("Secret", n) for n in [release.values["secrets"]["existingSecret"]] if n}
    found = [(c, pair) for c in commands(notes) for pair in named(c)]
    assert len(found) >= 3
    assert [(c, pair) for c, pair in found if pair not in there] == []
    for command in commands(notes):
        if re.search(r"\b(kubectl|helm) ", command):
            assert re.search(rf"(-n|namespace|--namespace) {NAMESPACE}\b", command), command


@pytest.mark.parametrize("case", CASES)
def test_selectors_select_something(case):
    release, notes = of(case)
    for text in re.findall(r" -l (\S+)", notes):
        wanted = dict(pair.split("=") for pair in text.split(","))
        assert [1 for _, labels, _ in release.pods() if wanted.items() <= labels.items()], text


@pytest.mark.parametrize("case", CASES)
def test_keys_are_those_of_the_values(case):
    """What the notes tell to set can be set."""
    _, notes = of(case)
    roots = "|".join(DEFAULTS)
    for path in re.findall(rf"(?<![-/.\w])((?:{roots})(?:\.[A-Za-z]+)+)", notes):
        tree = DEFAULTS
        for key in path.split("."):
            assert isinstance(tree, dict) and key in tree, path
            tree = tree[key]


@pytest.mark.parametrize("given, sentence", [
    ({}, "speechGateway.config.engine is whisper, which version"),
    ({}, "security.networkPolicy.nodeCIDRs is empty"),
    ({}, "ClusterIssuer voice-gateway-ca"),
    (values(security__mtls__certManager__enabled=False), "made by the chart, for ten years"),
    (values(security={"mtls": {"enabled": False}, "networkPolicy": {"nodeCIDRs": ["10.0.0.0/8"]}}), "mTLS is off"),
    (values(mediaGateway__config__codecs=["opus", "g711-ulaw"]), "the codec opus is not in version"),
    (values(mediaGateway__hostNetwork=False, mediaGateway__advertisedAddress="192.0.2.7"), "192.0.2.7"),
    ({}, "pod-security.kubernetes.io/enforce"),
])
def test_what_an_operator_must_know_is_said(given, sentence):
    assert sentence in installed(install(given))[1]


def test_the_notes_name_the_release():
    assert f"helm -n {NAMESPACE} test {RELEASE}" in of("defaults")[1]
