"""Installing, upgrading, two of them, and clusters that lack something."""
import base64

import pytest

import rules
from cases import values
from chart import NEWEST, ROLES, install, installed, merged, render
from cluster import PROMETHEUS, cluster

# What operators change in a running release. Kubernetes refuses to change what must not change.
CHANGES = {
    "image": values(global__image__tag="9.9.9"),
    "registry": values(global__imageRegistry="registry.internal"),
    "configuration": values(runtime__config__maxConcurrentCalls=7, mediaGateway__config__jitterBufferMs=80),
    "labels": values(podLabels={"a": "b"}, podAnnotations={"a": "b"}),
    "scale": values(runtime__autoscaling__enabled=False, runtime__replicas=9, redis__replica__replicaCount=5),
    "keda": {key: {"autoscaling": {"keda": {"enabled": True}}} for key in ROLES.values()},
    "resources": {key: {"resources": {"requests": {"cpu": "3"}, "limits": {"cpu": "3"}}} for key in (*ROLES.values(), "redis", "database")},
    "places": {key: {"nodeSelector": {"a": "b"}} for key in ROLES.values()},
    "issuer": values(security__mtls__certManager__createIssuer=True),
    "sip": values(mediaGateway__service__type="NodePort", mediaGateway__service__sipPort=5070),
    "redis": values(redis__architecture="standalone"),
    "secret": values(secrets__existingSecret="parley"),
}


def immutable(release):
    """What Kubernetes lets nobody change, by object."""
    made = {}
    for d in release.documents:
        name, spec = (d["kind"], d["metadata"]["name"]), d.get("spec", {})
        if d["kind"] in ("Deployment", "DaemonSet"):
            made[name] = spec["selector"]
        elif d["kind"] == "StatefulSet":
            made[name] = [spec["selector"], spec["serviceName"], spec.get("volumeClaimTemplates"), spec.get("podManagementPolicy")]
        elif d["kind"] == "Service":
            made[name] = spec.get("clusterIP")
        elif d["kind"] == "PersistentVolumeClaim":
            made[name] = [spec.get("storageClassName"), spec["accessModes"]]
        elif d["kind"] == "Secret":
            made[name] = d["type"]
    return made


def jobs(release):
    return {d["metadata"]["name"]: d["spec"] for d in release.kinds("Job")}


class TestUpgrade:
    @pytest.mark.parametrize("change", CHANGES)
    def test_nothing_changes_that_must_not(self, change, defaults):
        before, after = immutable(defaults), immutable(render(CHANGES[change]))
        assert {n: after[n] for n in before if n in after} == {n: before[n] for n in before if n in after}

    @pytest.mark.parametrize("change", CHANGES)
    def test_a_job_that_differs_has_another_name(self, change, defaults):
        before, after = jobs(defaults), jobs(render(CHANGES[change]))
        assert [n for n in before if n in after and before[n] != after[n]] == []

    def test_a_job_that_does_not_differ_is_not_run_again(self, defaults):
        assert set(jobs(render(CHANGES["scale"]))) == set(jobs(defaults))
        assert set(jobs(render(CHANGES["image"]))) != set(jobs(defaults))

    def test_secrets_that_are_there_are_kept(self, tmp_path):
        old = {"state-key": "s" * 48, "api-token": "parley_" + "t" * 40, "postgres-password": "p" * 32}
        release, _ = installed_in(tmp_path, secrets=[secret("vg-voice-gateway-secrets", old, owned=True), secret(
            "voice-gateway-redis", {"redis-password": "r" * 32}, owned=True)])
        assert decoded(release.one("Secret", "-secrets")) == old
        assert decoded(release.one("Secret", "voice-gateway-redis")) == {"redis-password": "r" * 32}

    def test_a_secret_of_somebody_else_is_left_alone(self, tmp_path):
        release, _ = installed_in(tmp_path, secrets=[secret("voice-gateway-redis", {"redis-password": "r" * 32})])
        assert "voice-gateway-redis" not in release.names("Secret")

    def test_certificates_that_the_chart_made_are_kept(self, tmp_path):
        off = values(security__mtls__certManager__enabled=False)
        made = [secret(d["metadata"]["name"], decoded(d), owned=True) for d in render(off).kinds("Secret") if d["type"] == "kubernetes.io/tls"]
        assert len(made) == 4
        release, _ = installed_in(tmp_path, off, secrets=made)
        for old in made:
            assert release.one("Secret", old["metadata"]["name"])["data"] == old["data"]


class TestTwoReleases:
    @pytest.mark.parametrize("other", ["vg2", "voice-gateway", "other"])
    def test_have_no_name_in_common_but_those_that_are_documented(self, other, defaults):
        second = render(release=other)
        both = {(d["kind"], d["metadata"]["name"]) for d in defaults.documents} & {(d["kind"], d["metadata"]["name"]) for d in second.documents}
        assert both <= {("Secret", "voice-gateway-redis")}

    def test_do_not_select_each_others_pods(self, defaults):
        second = render(release="other")
        for d in second.kinds("Service", "Deployment", "StatefulSet", "NetworkPolicy", "PodDisruptionBudget"):
            selector = d["spec"].get("podSelector", d["spec"].get("selector"))
            selector = selector.get("matchLabels", selector)
            assert not [1 for _, labels, _ in defaults.pods() if selector.items() <= labels.items()], d["metadata"]["name"]

    def test_a_long_name_is_cut_and_still_one(self):
        release = render(release="a" * 53)
        assert rules.broken(release, NEWEST) == []


def secret(name, data, owned=False):
    notes = {"meta.helm.sh/release-name": "vg", "meta.helm.sh/release-namespace": "voice"} if owned else {}
    labels = {"app.kubernetes.io/managed-by": "Helm"} if owned else {}
    return {"metadata": {"name": name, "namespace": "voice", "annotations": notes, "labels": labels},
            "data": {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}}


def decoded(secret):
    return {k: base64.b64decode(v).decode() for k, v in secret["data"].items()}


def install_in(folder, given=None, **has):
    with cluster(folder, **has) as kubeconfig:
        return install(given, kubeconfig=kubeconfig)


def installed_in(folder, given=None, **has):
    return installed(install_in(folder, given, **has))


NO_CERT_MANAGER = values(security__mtls__certManager__enabled=False)
NO_CLASS = [{"metadata": {"name": "slow"}}]


class TestClusters:
    """Helm asks a server for these, and what it says is seen while rendering."""

    def test_one_that_has_everything(self, tmp_path):
        release, notes = installed_in(tmp_path)
        assert release.kinds("Certificate") and release.kinds("ServiceMonitor") and "is installed as vg" in notes

    @pytest.mark.parametrize("given, has, sentence", [
        ({}, {"more": PROMETHEUS}, "security.mtls.certManager.enabled=false"),
        ({}, {"classes": NO_CLASS}, "no default storage class: name one in redis.replica.persistence and database.persistence"),
        (values(redis__architecture="standalone", redis__replica__persistence__enabled=False), {"classes": NO_CLASS},
         "no default storage class: name one in database.persistence,"),
        (values(secrets__existingSecret="parley"), {"secrets": [secret("parley", {"state-key": "x", "postgres-password": "x"})]},
         "the Secret parley has no key api-token"),
        (values(secrets={"existingSecret": "parley", "extraKeys": ["crm"]}), {"secrets": [secret("parley", {
            "state-key": "x", "postgres-password": "x", "api-token": "x"})]}, "the Secret parley has no key crm"),
        (values(database={"mode": "external", "external": {"existingSecret": "d"}}), {"secrets": [secret("d", {"url": "x"})]},
         "the Secret d has no key database-url"),
        (values(redis={"mode": "external", "external": {"existingSecret": "r"}}), {"secrets": [secret("r", {"url": "x"})]},
         "the Secret r has no key redis-url"),
        ({}, {"secrets": [secret("voice-gateway-redis", {"password": "x"})]}, "voice-gateway-redis has no key redis-password"),
    ])
    def test_what_is_missing_is_named(self, tmp_path, given, has, sentence):
        done = install_in(tmp_path, given, **has)
        assert done.returncode != 0 and sentence in done.stderr, done.stderr

    def test_without_operators(self, tmp_path):
        release, notes = installed_in(tmp_path, NO_CERT_MANAGER, more={})
        assert not release.kinds("Certificate", "ServiceMonitor", "PrometheusRule")
        assert len([d for d in release.kinds("Secret") if d["type"] == "kubernetes.io/tls"]) == 4
        assert "no Prometheus operator" in notes

    def test_a_storage_class_is_not_asked_for_where_none_is_needed(self, tmp_path):
        named = merged(values(redis__replica__persistence__storageClass="slow"), values(database__persistence__storageClass="slow"))
        for given in (named, values(clusterChecks__storageClass=False)):
            installed_in(tmp_path, given, classes=NO_CLASS)

    def test_a_secret_that_is_not_there_yet_is_named_in_the_notes(self, tmp_path):
        _, notes = installed_in(tmp_path, values(secrets__existingSecret="parley"))
        assert "the Secret parley of secrets.existingSecret is not there yet" in notes
