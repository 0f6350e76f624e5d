"""What is rendered: the switches of an operator, what contradicts itself, and what is no value at all."""
from chart import NEWEST, OLDEST, merged, nested


def values(**paths):
    """a__b=1 is {"a": {"b": 1}}."""
    return merged(*(nested(path.replace("__", "."), value) for path, value in paths.items()))


_KEDA = {"autoscaling": {"keda": {"enabled": True}}}
_ROLES = ("mediaGateway", "speechGateway", "runtime", "integration", "workers")
_NO_SCALING = {role: {"autoscaling": {"enabled": False}} for role in _ROLES}

# A switch, its choices, and the values of each. The first of each is the default. Every two choices meet in some rendering.
SWITCHES = {
    "cluster": {NEWEST: {}, OLDEST: {}},
    "helm": {"helm 4": {}, "helm 3": {}},
    "media": {
        "of the node": {},
        "of the pod, NodePort": values(
            mediaGateway__hostNetwork=False, mediaGateway__advertisedAddress="hostIP", mediaGateway__service__type="NodePort",
            mediaGateway__service__nodePort=30060),
        "of the pod, ClusterIP": values(
            mediaGateway__hostNetwork=False, mediaGateway__advertisedAddress="192.0.2.7", mediaGateway__service__type="ClusterIP"),
        "each a load balancer": values(
            mediaGateway__hostNetwork=False, mediaGateway__autoscaling__maxReplicas=2, mediaGateway__replicas=2,
            mediaGateway__perPod={"type": "LoadBalancer", "pods": [{"address": "192.0.2.1"}, {"address": "192.0.2.2"}]}),
        "each of the node's ports": values(
            mediaGateway__hostNetwork=False, mediaGateway__perPod__type="NodePort", mediaGateway__service__type="NodePort",
            mediaGateway__service__nodePort=30060),
    },
    "transport": {
        "udp": values(mediaGateway__config__rtpPortRange="30100-30499"),
        "both": values(mediaGateway__config__sipTransport=["udp", "tcp"], mediaGateway__config__rtpPortRange="30100-30499"),
        "both, split": values(
            mediaGateway__config__sipTransport=["udp", "tcp"], mediaGateway__config__rtpPortRange="30100-30499",
            mediaGateway__service__splitProtocols=True),
    },
    "redis": {
        "replicated": {},
        "one": values(redis__architecture="standalone"),
        "one, without disk": values(redis__architecture="standalone", redis__replica__persistence__enabled=False),
        "open": values(redis__auth__enabled=False),
        "external": values(redis__enabled=False, redis__external__existingSecret="r"),
        "external by address": values(redis__mode="external", secrets__redisUrl="redis://redis.internal:6379"),
        "external by mode": values(redis__mode="external", redis__external={"existingSecret": "r", "key": "address"}),
    },
    "database": {
        "internal": {},
        "without disk": values(database__persistence__enabled=False),
        "external": values(database__mode="external", database__external__existingSecret="d"),
    },
    "state": {"redis": {}, "postgres": values(runtime__config__stateStore="postgres")},
    "mtls": {
        "issuer": {},
        "own issuer": values(security__mtls__certManager__createIssuer=True),
        "by the chart": values(security__mtls__certManager__enabled=False),
        "existing": values(security__mtls__existingSecrets={r: r for r in ("media", "speech", "runtime", "integration")}),
        "off": values(security__mtls__enabled=False),
    },
    "policies": {
        "open to nodes": {},
        "nodes known": values(security__networkPolicy={
            "nodeCIDRs": ["10.0.0.0/8"], "apiFrom": [{"namespaceSelector": {}}],
            "metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
            "egressPorts": [], "extraEgress": [{"ports": [{"protocol": "TCP", "port": 8443}]}]}),
        "off": values(security__networkPolicy__enabled=False),
    },
    "scaling": {"cpu": {}, "keda": {role: _KEDA for role in _ROLES}, "live calls": values(
        mediaGateway__autoscaling__customMetric__enabled=True, speechGateway__autoscaling__customMetric__enabled=True), "off": _NO_SCALING},
    "exposure": {
        "none": {},
        "ingress": values(ingress={"enabled": True, "tls": [{"hosts": ["vg-api.internal"], "secretName": "t"}]}),
        "gateway of ours": values(exposure={"mode": "gatewayApi", "gatewayApi": {
            "createGateway": True, "gatewayClassName": "g", "listenerHostname": "voice.example.com", "tlsSecret": "t"}}),
        "their gateway": values(exposure={"mode": "gatewayApi", "gatewayApi": {
            "parentRefs": [{"name": "public", "namespace": "gateways"}], "hostnames": ["voice.example.com"]}}),
    },
    "metrics": {
        "all": {},
        "bare": values(observability__metrics={
            "serviceMonitor": {"enabled": False}, "prometheusRule": {"enabled": False}, "dashboards": {"enabled": False}}),
        "off": values(observability__metrics__enabled=False),
    },
    "tracing": {"off": {}, "on": values(observability__tracing={"enabled": True, "otlpEndpoint": "http://collector:4318"})},
    "accounts": {"made": {}, "named": values(serviceAccount={"create": False, "name": "voice"})},
    "names": {
        "release's": {},
        "given": values(
            fullnameOverride="x", global__imageRegistry="registry.internal:5000", imagePullSecrets=["a"], priorityClassName="calls",
            podLabels={"team": "voice"}, podAnnotations={"a": "b"}, extraEnv=[{"name": "TZ", "value": "UTC"}]),
    },
    "dialogs": {
        "starter": {},
        "none": values(runtime__starterDialog=False),
        "given": values(runtime__dialogs={"a.yaml": "name: a\nversion: '1'\ninitial_state: x\nstates:\n  x: {terminal: true}\n"}),
    },
    "secrets": {
        "made": {},
        "existing": values(secrets={"existingSecret": "parley", "extraKeys": ["crm-token"]}),
        "more": values(secrets__extra={"crm-token": "secret"}, runtime__config__llm={
            "url": "https://llm.internal/v1", "model": "m", "apiKeyName": "crm-token"}),
    },
    "speech": {
        "embedded": {},
        "whisper": values(
            speechGateway={"engines": ["embedded", "whisper"], "modelStorage": {"accessMode": "ReadWriteMany"}}),
        "whisper, fetched": values(speechGateway={
            "engines": ["whisper"], "autoscaling": {"enabled": False}, "modelStorage": {"download": {"enabled": True, "files": [{
                "url": "https://models.example.com/a.tar.gz", "path": "a", "unpack": True, "sha256": "0" * 64}]}}}),
        "whisper of an image": values(speechGateway={
            "engines": ["whisper"], "modelStorage": {"image": {"repository": "registry.internal/models", "tag": "1.0.0"}}}),
        "whisper on amd": values(
            speechGateway={"engines": ["embedded", "whisper"], "modelStorage": {"existingClaim": "m", "accessMode": "ReadOnlyMany"},
                           "gpu": {"type": "amd"}}),
    },
    "sounds": {
        "none": {},
        "claim": values(storage__existingClaim="sounds"),
        "minio": values(storage__mode="internalMinio"),
        "their minio": values(
            storage={"mode": "externalMinio", "existingSecret": "s", "externalMinio": {"endpoint": "minio.internal:9000"}}),
        "s3": values(storage={"mode": "s3", "existingSecret": "s", "s3": {"region": "eu-central-1"}}),
    },
    "turn": {
        "none": {},
        "balanced": values(coturn__enabled=True),
        "of the node, TLS": values(coturn={"enabled": True, "hostNetwork": True, "tls": {"enabled": True, "existingSecret": "t"}}),
    },
    "deletion cost": {"on": {}, "off": values(podDeletionCost__enabled=False), "guarded": values(podDeletionCost__guard__enabled=True)},
    "budgets": {"on": {}, "off": {role: {"pdb": {"enabled": False}} for role in _ROLES}},
    "migration": {"job": {}, "init only": values(migrate__enabled=False)},
}

# Choices that exclude each other, and what the chart says to them.
_host = {"media": {"of the node"}}
EXCLUDED = [
    ({"mtls": {"off"}, "policies": {"off"}}, "could pose as media"),
    ({"mtls": {"off"}, "policies": {"open to nodes"}, **_host}, "could pose as media"),
    ({"redis": {"open"}, "policies": {"off"}}, "can steer calls"),
    ({"redis": {"open"}, "policies": {"open to nodes"}, **_host}, "can steer calls"),
    ({"scaling": {"keda"}, "metrics": {"off"}}, "observability.metrics.enabled"),
    ({"scaling": {"live calls"}, "metrics": {"off"}}, "observability.metrics.enabled"),
    ({"cluster": {OLDEST}, "deletion cost": {"guarded"}}, "needs Kubernetes 1.30"),
    ({"cluster": {OLDEST}, "speech": {"whisper of an image"}}, "needs Kubernetes 1.31"),
    ({"redis": {"external by address"}, "secrets": {"existing"}}, "put it there"),
]


def refused(row):
    """The sentence that a row, which may be incomplete, is refused with."""
    for choices, sentence in EXCLUDED:
        if all(row.get(switch) in some for switch, some in choices.items()):
            return sentence
    return None


def of(row):
    return merged(*(SWITCHES[switch][choice] for switch, choice in row.items()))


# What contradicts itself (--set), and a part of the sentence that must say so.
REFUSALS = {
    "mediaGateway.terminationGracePeriodSeconds=60": "calls would be cut",
    "integration.terminationGracePeriodSeconds=30": "calls would be cut",
    "runtime.config.stateStore=memory": "say redis or postgres",
    "redis.enabled=false": "redis.external.existingSecret",
    "redis.mode=external": "redis.external.existingSecret",
    "redis.replica.replicaCount=2": "cannot agree on a new master",
    "database.mode=external": "database.external.existingSecret",
    "mediaGateway.config.sipTransport=tls": "udp and tcp",
    "mediaGateway.config.sipTransport={}": "udp and tcp",
    "mediaGateway.config.codecs={opus}": "g711-ulaw",
    "mediaGateway.config.rtpPortRange=20000-10000": "from a lower to a higher port",
    "mediaGateway.config.rtpPortRange=500-10000": "between 1024 and 65535",
    "mediaGateway.dnsPolicy=ClusterFirst": "ClusterFirstWithHostNet",
    "global.image.tag=latest": "names another image tomorrow",
    "redis.image.tag=latest": "names another image tomorrow",
    "security.mtls.enabled=false": "could pose as media",
    "redis.auth.enabled=false": "can steer calls",
    "security.mtls.existingSecrets.media=x": "all four roles",
    "observability.tracing.enabled=true": "otlpEndpoint",
    "observability.metrics.enabled=false,runtime.autoscaling.keda.enabled=true": "runtime.autoscaling.keda.enabled needs",
    "exposure.mode=gatewayApi": "parentRefs",
    "exposure.mode=gatewayApi,exposure.gatewayApi.createGateway=true": "needs gatewayClassName",
    "exposure.mode=gatewayApi,exposure.gatewayApi.parentRefs[0].name=g,ingress.enabled=true": "exposed twice",
    "runtime.autoscaling.minReplicas=50": "above maxReplicas",
    "speechGateway.engines={embedded,whisper}": "ReadWriteMany",
    "speechGateway.engines={embedded,whisper},speechGateway.modelStorage.enabled=false": "needs models",
    "secrets.extra.state-key=x": "secrets.existingSecret for values of your own",
    "storage.mode=s3": "secrets.awsAccessKeyId",
    "storage.mode=externalMinio": "secrets.minioAccessKey",
    "storage.mode=externalMinio,storage.existingSecret=s": "storage.externalMinio.endpoint",
    "storage.mode=s3,storage.existingSecret=s,storage.s3.bucket=No": "is no name of a bucket",
    "storage.mode=internalMinio,storage.existingClaim=sounds": "needs storage.mode file",
    "storage.mode=s3,secrets.awsAccessKeyId=a": "only one of its two keys",
    "secrets.existingSecret=s,secrets.redisUrl=redis://r": "put it there",
    "mediaGateway.perPod.type=LoadBalancer": "needs mediaGateway.hostNetwork: false",
    "mediaGateway.hostNetwork=false,mediaGateway.perPod.type=LoadBalancer": "names 0 addresses, but there may be 10 pods",
    "mediaGateway.hostNetwork=false,mediaGateway.perPod.type=NodePort": "such as 30100-30499",
    "mediaGateway.hostNetwork=false,mediaGateway.perPod.type=NodePort,mediaGateway.config.rtpPortRange=30100-30499": "nodePort such as 30060",
    "mediaGateway.hostNetwork=false,mediaGateway.perPod.type=LoadBalancer,mediaGateway.config.rtpPortRange=10000-10100": "is too small",
    "coturn.enabled=true,coturn.relayPortRange.max=49500": "take fewer, or coturn.hostNetwork",
    "coturn.enabled=true,coturn.relayPortRange.max=49000": "from a lower to a higher port",
    "coturn.enabled=true,coturn.tls.enabled=true": "coturn.tls.existingSecret",
    "autoscaling.workers.keda.enabled=true,observability.metrics.enabled=false": "needs observability.metrics.enabled",
    "exposure.ingress.host=a.example.com,ingress.enabled=true": "would be exposed twice",
    "exposure.ingress.tls.enabled=true": "exposure.ingress.tls.secretName",
    "speechGateway.engines={whisper},speechGateway.autoscaling.enabled=false,speechGateway.modelStorage.download.enabled=true": "name what to fetch",
    "speechGateway.engines={whisper},speechGateway.modelStorage.image.repository=registry.internal/models": "a tag or a digest",
    "runtime.dialogs.reception=x": "no file name that ends in .yaml",
}

# What is no value of a key (--set), and the key that the message must name.
WRONG = {
    "mediaGateway.replcas=3": "replcas",
    "nothingOfOurs.enabled=true": "nothingOfOurs",
    "redis.replica.persistence.sise=1Gi": "sise",
    "security.mtls.certmanager.enabled=true": "certmanager",
    "mediaGateway.replicas=many": "replicas",
    "mediaGateway.replicas=-1": "replicas",
    "runtime.config.bargeIn=perhaps": "bargeIn",
    "mediaGateway.service.type=Balancer": "type",
    "mediaGateway.config.codecs=opus": "codecs",
    "mediaGateway.config.rtpPortRange=10000": "rtpPortRange",
    "speechGateway.config.engine=whisperer": "engine",
    "speechGateway.gpu.type=intel": "gpu",
    "global.image.digest=sha256:12": "digest",
    "observability.log.level=loud": "level",
    "security.pii.redact={everything}": "redact",
    "exposure.mode=both": "mode",
    "mediaGateway.perPod.rtpPorts=1000": "rtpPorts",
    "speechGateway.modelStorage.download.files[0].url=http://a": "url",
    "mediaGateway=null": "mediaGateway",
    "runtime.autoscaling.keda=null": "keda",
}
