"""The values: names and defaults that others rely on, and what is refused."""
import json
import os
import re

import pytest

import rules
from cases import REFUSALS, WRONG
from chart import DEFAULTS, HELMS, NEWEST, ROOT, at, attempt, merged, nested, render, values

HERE = os.path.dirname(os.path.abspath(__file__))
VOICETYPED = ["voicetyped.yaml", "voicetyped-changed.yaml"]
DOGRAH = ["dograh.yaml", "dograh-managed.yaml"]

# Keys of voicetyped's chart, with its defaults; a values.yaml written for it works unchanged. Never change one.
CONTRACT = {
    "global.image.pullPolicy": "IfNotPresent",
    "mediaGateway.replicas": 2,
    "mediaGateway.resources.requests": {"cpu": "500m", "memory": "512Mi"},
    "mediaGateway.resources.limits": {"cpu": "2", "memory": "1Gi"},
    "mediaGateway.service.type": "LoadBalancer",
    "mediaGateway.service.sipPort": 5060,
    "mediaGateway.service.annotations": {},
    "mediaGateway.config.sipTransport": "udp",
    "mediaGateway.config.rtpPortRange": "10000-20000",
    "mediaGateway.config.jitterBufferMs": 60,
    "mediaGateway.hostNetwork": True,
    "mediaGateway.dnsPolicy": "ClusterFirstWithHostNet",
    "mediaGateway.autoscaling.enabled": True,
    "mediaGateway.autoscaling.minReplicas": 2,
    "mediaGateway.autoscaling.maxReplicas": 10,
    "mediaGateway.autoscaling.targetCPUUtilization": 70,
    "speechGateway.replicas": 1,
    "speechGateway.resources.requests": {"cpu": "2", "memory": "4Gi"},
    "speechGateway.resources.limits": {"cpu": "4", "memory": "8Gi", "nvidia.com/gpu": 1},
    "speechGateway.config.engine": "whisper",
    "speechGateway.config.model": "whisper-medium",
    "speechGateway.config.language": "en",
    "speechGateway.config.maxWorkers": 4,
    "speechGateway.config.vad.threshold": 0.5,
    "speechGateway.config.vad.minSilenceMs": 500,
    "speechGateway.modelStorage.enabled": True,
    "speechGateway.modelStorage.storageClass": "standard",
    "speechGateway.modelStorage.size": "10Gi",
    "speechGateway.modelStorage.mountPath": "/models",
    "speechGateway.gpu.enabled": True,
    "speechGateway.gpu.type": "nvidia",
    "speechGateway.gpu.count": 1,
    "speechGateway.gpu.nodeSelector": {"nvidia.com/gpu.present": "true"},
    "speechGateway.gpu.tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "speechGateway.affinity": {},
    "speechGateway.autoscaling.enabled": True,
    "speechGateway.autoscaling.minReplicas": 1,
    "speechGateway.autoscaling.maxReplicas": 5,
    "speechGateway.autoscaling.targetGPUUtilization": 80,
    "runtime.replicas": 2,
    "runtime.resources.requests": {"cpu": "250m", "memory": "256Mi"},
    "runtime.resources.limits": {"cpu": "1", "memory": "512Mi"},
    "runtime.config.maxConcurrentCalls": 100,
    "runtime.config.defaultTimeout": "10s",
    "runtime.config.bargeIn": True,
    "runtime.config.stateStore": "redis",
    "runtime.dialogConfigMap": "voice-gateway-dialogs",
    "runtime.autoscaling.enabled": True,
    "runtime.autoscaling.minReplicas": 2,
    "runtime.autoscaling.maxReplicas": 20,
    "runtime.autoscaling.targetCPUUtilization": 60,
    "integration.replicas": 2,
    "integration.resources.requests": {"cpu": "250m", "memory": "256Mi"},
    "integration.resources.limits": {"cpu": "1", "memory": "512Mi"},
    "integration.service.apiPort": 8080,
    "integration.autoscaling.enabled": True,
    "integration.autoscaling.minReplicas": 2,
    "integration.autoscaling.maxReplicas": 10,
    "integration.autoscaling.targetCPUUtilization": 60,
    "redis.enabled": True,
    "redis.architecture": "replication",
    "redis.auth.enabled": True,
    "redis.auth.existingSecret": "voice-gateway-redis",
    "redis.replica.replicaCount": 3,
    "redis.replica.persistence.enabled": True,
    "redis.replica.persistence.size": "1Gi",
    "observability.metrics.enabled": True,
    "observability.metrics.port": 9100,
    "observability.metrics.serviceMonitor.enabled": True,
    "observability.metrics.serviceMonitor.interval": "15s",
    "observability.tracing.enabled": False,
    "observability.tracing.otlpEndpoint": "",
    "security.mtls.enabled": True,
    "security.mtls.certManager.enabled": True,
    "security.mtls.certManager.issuerRef.name": "voice-gateway-ca",
    "security.mtls.certManager.issuerRef.kind": "ClusterIssuer",
    "security.networkPolicy.enabled": True,
    "ingress.enabled": False,
    "ingress.className": "nginx",
    "ingress.hosts": [{"host": "vg-api.internal", "paths": [{"path": "/", "pathType": "Prefix"}]}],
    "ingress.tls": [],
    # Dograh's, where both have them.
    "secrets.existingSecret": "",
    "serviceAccount.create": True,
    "imagePullSecrets": [],
    "migrate.enabled": True,
    "migrate.activeDeadlineSeconds": 600,
    "integration.preStopSleepSeconds": 15,
    "campaignOrchestrator.enabled": False,
    "ariManager.enabled": False,
    "ui.enabled": False,
    "coturn.enabled": False,
}
# Of which there must be something, whatever it is.
THERE = [
    "global.image.repository", "global.image.tag", "mediaGateway.config.codecs", "exposure.mode", "exposure.gatewayApi.createGateway",
    "exposure.gatewayApi.gatewayClassName", "exposure.gatewayApi.listenerHostname", "exposure.gatewayApi.parentRefs", "workers.replicas",
    *(f"{role}.{key}" for role in ("mediaGateway", "speechGateway", "runtime", "integration", "workers") for key in (
        "pdb.enabled", "autoscaling.keda.enabled", "terminationGracePeriodSeconds", "preStopSleepSeconds", "drainMaxWaitSeconds")),
]
# What an enumeration must still take.
CHOICES = {
    "database.mode": {"internal", "external"},
    "redis.mode": {"internal", "external"},
    "storage.mode": {"internalMinio", "externalMinio", "s3"},
    "exposure.mode": {"gatewayApi", "ingress"},
    "speechGateway.gpu.type": {"nvidia", "amd"},
}
SCHEMA = json.load(open(os.path.join(ROOT, "deploy", "helm", "voice-gateway", "values.schema.json")))


@pytest.mark.parametrize("path", CONTRACT)
def test_a_key_has_the_default_that_others_rely_on(path):
    assert at(DEFAULTS, path) == CONTRACT[path]


@pytest.mark.parametrize("path", THERE)
def test_a_key_is_there(path):
    at(DEFAULTS, path)


@pytest.mark.parametrize("path", CHOICES)
def test_a_key_takes(path):
    assert CHOICES[path] <= set(at(SCHEMA, "properties." + path.replace(".", ".properties."))["enum"])


@pytest.mark.parametrize("file", VOICETYPED + DOGRAH)
def test_values_of_other_charts_render(file, unread):
    release = render(files=[os.path.join(HERE, "values", file)])
    assert rules.broken(release, NEWEST) == []
    assert unread(release) == []


# Of other charts, whose keys are taken and not used, and what Helm itself writes.
THEIRS = {"global", "campaignOrchestrator", "ariManager", "ui"}
FREE = ("annotations", "Annotations", "labels", "Labels", "nodeSelector", "affinity", "dialogs", "services", "extra")


def leaves(tree, path=""):
    for key, value in tree.items():
        here = f"{path}.{key}".lstrip(".")
        if isinstance(value, dict) and value and not here.endswith(("resources", *FREE)):
            yield from leaves(value, here)
        else:
            yield here, value


def test_voicetyped_has_these_defaults():
    """The file is that chart's values.yaml: all its keys, as they are."""
    theirs = dict(leaves(values(os.path.join(HERE, "values", "voicetyped.yaml"))))
    different = {k: v for k, v in theirs.items() if at(DEFAULTS, k) != v}
    # What this chart is called, and what version 0.1.0 of each is.
    assert set(different) <= {"global.image.repository", "global.image.tag"}, different


def test_voicetyped_changed_changes_every_key():
    theirs = dict(leaves(values(os.path.join(HERE, "values", "voicetyped.yaml"))))
    changed = dict(leaves(values(os.path.join(HERE, "values", "voicetyped-changed.yaml"))))
    assert set(theirs) == set(changed) & set(theirs)
    # With mTLS off, the policies must be on.
    assert [k for k in theirs if theirs[k] == changed[k]] == ["security.networkPolicy.enabled"]


# What a change of voicetyped's keys does, where an operator sees it.
CHANGED = [
    ("media", "media.sip_port", 5070),
    ("media", "media.sip_transport", ["tcp"]),
    ("media", "media.rtp_port_range", "30000-30999"),
    ("media", "media.codecs", ["g711-alaw"]),
    ("media", "media.jitter_buffer_ms", 80),
    ("speech", "speech.language", "de"),
    ("speech", "speech.max_workers", 2),
    ("speech", "speech.vad.threshold", 0.6),
    ("speech", "speech.vad.min_silence_ms", 700),
    ("runtime", "runtime.max_concurrent_calls", 50),
    ("runtime", "runtime.default_timeout", "20s"),
    ("runtime", "runtime.barge_in", False),
    ("integration", "integration.api_port", 8081),
    ("integration", "observability.metrics.port", 9200),
    ("integration", "observability.tracing.otlp_endpoint", "http://collector:4318"),
]


@pytest.mark.parametrize("role, path, value", CHANGED)
def test_voicetyped_changed_reaches_the_gateway(role, path, value):
    assert at(render(files=[os.path.join(HERE, "values", "voicetyped-changed.yaml")]).config(role), path) == value


# Of Dograh's values, what has no like here: the sentence says what to do, or at least the key.
DOGRAH_REFUSED = {
    "campaignOrchestrator.enabled=true": "workers do its work",
    "ariManager.enabled=true": "media speaks SIP itself, without Asterisk",
    "ui.enabled=true": "no such process",
    "autoscaling.web.enabled=true": "there is no such role here",
    "database.mode=external": "database.external.existingSecret",
    "redis.mode=external": "redis.external.existingSecret",
    "web.replicaCount=2": "web",
    "config.logLevel=DEBUG": "config",
}


@pytest.mark.parametrize("given", DOGRAH_REFUSED)
def test_dograh_is_told_what_to_do(given):
    refused(given, DOGRAH_REFUSED[given], HELMS["helm 4"])


def refused(given, sentence, helm):
    done = attempt(options=["--set", given], helm=helm)
    assert done.returncode != 0, "was taken"
    assert sentence in done.stderr, done.stderr
    # Of a template that broke, a Go type or a line of a file is no help.
    assert not re.search(r"nil pointer|can't evaluate|error calling (include|index|get)[^:]*: (?!.*fail)", done.stderr), done.stderr


@pytest.mark.parametrize("given", REFUSALS)
def test_what_contradicts_itself_is_refused(given):
    refused(given, REFUSALS[given], HELMS["helm 4"])


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("given", WRONG)
def test_what_is_no_value_is_refused(given, helm):
    refused(given, WRONG[given], HELMS[helm])


def test_no_mapping_takes_keys_that_it_has_not():
    """A mistyped key is an error everywhere, but where the names are others'."""
    paths = sorted({".".join(p.split(".")[:n]) for p, _ in leaves(DEFAULTS) for n in range(1, p.count(".") + 1)} - THEIRS)
    assert len(paths) > 50
    # One message lists them all.
    done = attempt(merged(*(nested(path + ".mistyped", "x") for path in paths)))
    taken = [p for p in paths if f"'/{p.replace('.', '/')}': additional properties 'mistyped'" not in done.stderr]
    assert done.returncode != 0 and taken == []


def test_mappings_that_take_any_key_are_known():
    assert [p for p, v in leaves(DEFAULTS) if v == {} and not p.endswith(FREE)] == ["autoscaling"]
