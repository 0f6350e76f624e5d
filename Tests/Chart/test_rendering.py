"""Defaults, examples and every two switches together: the schemas and the rules hold."""
import copy
import os

import pytest

import chart
import rules
from cases import EXCLUDED, SWITCHES, of, refused
from chart import CHART, EXAMPLES, HELMS, NEWEST, OLDEST, render
from pairs import all_pairs

ROWS = all_pairs(SWITCHES, refused)
# An engine that only later versions of the gateway have.
UNREADABLE = ("whisper",)


def how(row):
    return {"given": of(row), "helm": HELMS[row["helm"]], "version": row["cluster"]}


@pytest.fixture(scope="module", autouse=True)
def rendered_ahead():
    chart.ahead([how(row) for row in ROWS])


@pytest.mark.parametrize("helm", HELMS)
def test_lint(helm):
    done = chart.run(HELMS[helm], "lint", "--strict", CHART)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("helm", HELMS)
def test_defaults(helm, version, unread):
    release = render(helm=HELMS[helm], version=version)
    assert rules.broken(release, version) == []
    assert unread(release) == []


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("example", EXAMPLES)
def test_example(example, version, unread):
    release = render(files=[os.path.join(CHART, "examples", example)], version=version)
    assert rules.broken(release, version) == []
    if release.config("speech")["speech"]["engine"] not in UNREADABLE:
        assert unread(release) == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: ", ".join(c for s, c in row.items() if c != next(iter(SWITCHES[s]))))
def test_switches(row, unread):
    release = render(**how(row))
    assert rules.broken(release, row["cluster"]) == []
    if release.config("speech")["speech"]["engine"] not in UNREADABLE:
        assert unread(release) == []


@pytest.mark.parametrize("choices, sentence", EXCLUDED)
def test_what_excludes_each_other_is_refused(choices, sentence):
    row = {switch: min(some) for switch, some in choices.items()}
    done = chart.attempt(of(row), version=row.get("cluster", NEWEST))
    assert done.returncode != 0 and sentence in done.stderr, done.stderr or "was taken"


def test_every_two_choices_meet():
    met = {frozenset([a, b]) for row in ROWS for a in row.items() for b in row.items()}
    for a, choices in SWITCHES.items():
        for b in SWITCHES:
            for x in choices:
                for y in SWITCHES[b]:
                    if a < b and not refused({a: x, b: y}):
                        assert frozenset([(a, x), (b, y)]) in met, f"{a} {x} never meets {b} {y}"
    assert not [row for row in ROWS if refused(row)]


def as_go_reads(documents):
    """What kubectl cannot decode into Go's types. (That most have no image to set is well.)"""
    builtin = [d for d in documents if "." not in d["apiVersion"].split("/")[0] or ".k8s.io/" in d["apiVersion"]]
    text = "\n---\n".join(map(chart.yaml.safe_dump, builtin))
    done = chart.run(chart.KUBECTL, "set", "image", "--local", "-f", "-", "*=x:1", "-o", "name", given=text)
    return [line for line in done.stderr.splitlines() if "unable to decode" in line]


def test_kubectl_decodes_the_defaults(defaults):
    assert as_go_reads(defaults.documents) == []
    wrong = copy.deepcopy(defaults.workload("media"))
    wrong["spec"]["minReadySeconds"] = "5"
    assert as_go_reads([wrong]) != []


def test_kubectl_makes_a_kustomization_of_the_defaults(defaults, tmp_path):
    (tmp_path / "all.yaml").write_text(defaults.text)
    (tmp_path / "kustomization.yaml").write_text("resources: [all.yaml]\n")
    done = chart.run(chart.KUBECTL, "kustomize", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert len([d for d in chart.yaml.load_all(done.stdout, chart.LOADER) if d]) == len(defaults.documents)


# What the rules must notice: an object, what is done to it, and a part of the sentence.
BREAKS = {
    "wrong type": ("Deployment", "-media", lambda d: d["spec"].update(minReadySeconds="5"), "minReadySeconds"),
    "unknown key": ("Deployment", "-media", lambda d: d["spec"].update(replica=5), "replica"),
    "a key cert-manager has not": ("Certificate", "-media", lambda d: d["spec"].update(dnsname="x"), "dnsname"),
    "a type Prometheus' operator has not": ("ServiceMonitor", "", lambda d: d["spec"]["endpoints"][0].update(interval=15), "interval"),
    "token": ("Deployment", "-speech", lambda d: d["spec"]["template"]["spec"].pop("automountServiceAccountToken"), "token unasked"),
    "host path": ("Deployment", "-speech", lambda d: d["spec"]["template"]["spec"]["volumes"].append(
        {"name": "x", "hostPath": {"path": "/"}}), "not allowed"),
    "root": ("StatefulSet", "-redis", lambda d: d["spec"]["template"]["spec"]["securityContext"].pop("runAsNonRoot"), "may be root"),
    "capabilities": ("StatefulSet", "-redis", lambda d: d["spec"]["template"]["spec"]["containers"][0]["securityContext"][
        "capabilities"].update(add=["NET_ADMIN"]), "has capabilities"),
    "latest": ("Job", "", lambda d: d["spec"]["template"]["spec"]["containers"][0].update(image="parley:latest"), "without a version"),
    "selector": ("Service", "-sip", lambda d: d["spec"]["selector"].update(x="y"), "selects no pod"),
    "target port": ("Service", "-runtime", lambda d: d["spec"]["ports"][0].update(targetPort="hopp"), "leads nowhere"),
    "protocol": ("Service", "-sip", lambda d: d["spec"]["ports"][0].update(protocol="TCP"), "leads nowhere"),
    "probe": ("Deployment", "-worker", lambda d: d["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]["httpGet"].update(
        port="api"), "is not open"),
    "scraped port": ("ServiceMonitor", "", lambda d: d["spec"]["endpoints"][0].update(port="http"), "no Service has the port"),
    "secret": ("Deployment", "-runtime", lambda d: d["spec"]["template"]["spec"]["volumes"].append(
        {"name": "tls", "secret": {"secretName": "x"}}), "nobody's"),
    "account": ("Deployment", "-runtime", lambda d: d["spec"]["template"]["spec"].update(serviceAccountName="x"), "nobody's"),
    "more secrets than used": ("Deployment", "-media", lambda d: _sources(d)[0]["secret"]["items"].append(
        {"key": "api-token", "path": "api-token"}), "which its file does not name"),
    "less secrets than used": ("Deployment", "-integration", lambda d: _sources(d)[0]["secret"]["items"].pop(0), "is not mounted"),
    "key": ("Secret", "-secrets", lambda d: d["data"].pop("state-key"), "has no ['state-key']"),
    "scaled and set": ("Deployment", "-media", lambda d: d["spec"].update(replicas=2), "set it back"),
    "scaler without": ("HorizontalPodAutoscaler", "-media", lambda d: d["spec"]["scaleTargetRef"].update(name="x"), "not there"),
    "grace": ("Deployment", "-media", lambda d: d["spec"]["template"]["spec"].update(terminationGracePeriodSeconds=300), "is killed after"),
    "hook": ("Deployment", "-media", lambda d: d["spec"]["template"]["spec"]["containers"][0]["lifecycle"].update(
        preStop={"exec": {"command": ["true"]}}), "not by a drain"),
    "label": ("Service", "-sip", lambda d: d["metadata"]["labels"].update(x="a b"), "label x"),
    "policy's port": ("NetworkPolicy", "-worker", lambda d: d["spec"]["ingress"][0]["ports"][0].update(port="metric"), "no pod has the port"),
}


def _sources(deployment):
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    return next(v for v in volumes if v["name"] == "secrets")["projected"]["sources"]


@pytest.mark.parametrize("name", BREAKS)
def test_the_rules_notice(name, defaults):
    kind, end, change, sentence = BREAKS[name]
    release = chart.Release("")
    release.documents = copy.deepcopy(defaults.documents)
    change(release.one(kind, end))
    found = rules.broken(release, NEWEST)
    assert any(sentence in f for f in found), found


def test_the_rules_notice_what_is_there_twice_or_not_shut(defaults):
    release = chart.Release("")
    release.documents = defaults.documents + [defaults.one("Service", "-sip")]
    assert any("two objects are" in f for f in rules.broken(release, NEWEST))
    release.documents = [d for d in defaults.documents if not d["metadata"]["name"].endswith("default-deny")]
    assert any("no policy shuts it" in f for f in rules.broken(release, NEWEST))


GATEWAY = {"mode": "gatewayApi", "gatewayApi": {"createGateway": True, "gatewayClassName": "g", "tlsSecret": "t"}}


@pytest.mark.parametrize("kind, change, sentence", [
    ("Gateway", lambda d: d["spec"]["listeners"][0].pop("tls"), "'tls' is a required property"),
    ("Gateway", lambda d: d["spec"]["listeners"][0].update(hostname="https://x"), "hostname"),
    ("HTTPRoute", lambda d: d["spec"]["rules"][0]["backendRefs"][0].update(port="8080"), "port"),
    ("HTTPRoute", lambda d: d["spec"]["rules"][0]["timeouts"].update(request="1 h"), "request"),
])
def test_the_rules_notice_what_a_gateway_has_not(kind, change, sentence):
    release = render({"exposure": GATEWAY})
    change(release.one(kind))
    assert any(sentence in f for f in rules.broken(release, NEWEST))
