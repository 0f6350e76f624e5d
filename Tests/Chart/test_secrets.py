"""secrets.yaml, certificates.yaml, datastores.yaml."""
import base64
import subprocess

import pytest

from cases import values
from chart import ROLES, mounted_keys, nested, render, yaml

NAMED = values(secrets__existingSecret="parley", redis__mode="external", redis__external__existingSecret="r")


def decoded(secret):
    return {k: base64.b64decode(v).decode() for k, v in secret["data"].items()}


class TestSecrets:
    def test_what_the_chart_makes_is_long_and_kept(self, defaults):
        secret = defaults.one("Secret", "-secrets")
        assert secret["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        made = decoded(secret)
        assert set(made) == {"state-key", "api-token", "postgres-password"}
        assert len(made["state-key"]) >= 32 and all(len(v) >= 24 for v in made.values())

    def test_no_two_installations_share_one(self):
        first, second = (render(options=["--set", f"podLabels.a={n}"]) for n in "12")
        mine, other = decoded(first.one("Secret", "-secrets")), decoded(second.one("Secret", "-secrets"))
        assert not set(mine.values()) & set(other.values())

    def test_with_secrets_of_ones_own_nothing_changes_between_two_renderings(self):
        """What Argo CD and the like need: they cannot look up what a cluster has."""
        first, second = (render(NAMED, options=["--set", f"clusterChecks.storageClass={n}"]) for n in ("true", "false"))
        assert first.kinds("Secret") == [] and first.text == second.text

    def test_more_keys_are_for_runtime_and_integration(self):
        release = render(values(secrets={"existingSecret": "parley", "extraKeys": ["crm-token"]}))
        assert {r for r in ROLES if "crm-token" in (mounted_keys(release.pod(r)).get("parley") or ())} == {"runtime", "integration"}

    def test_only_integration_knows_the_api_token(self, defaults):
        knows = {r for r in ROLES if "api-token" in str(mounted_keys(defaults.pod(r)))}
        assert knows == {"integration"}

    def test_nobody_without_the_database_knows_its_password(self, defaults):
        knows = {r for r in ROLES if "postgres-password" in str(mounted_keys(defaults.pod(r)))}
        assert knows == {"runtime", "integration", "worker"}

    def test_no_secret_is_in_a_variable_or_a_config_map(self, defaults):
        known = [v for d in defaults.kinds("Secret") for v in decoded(d).values()]
        for d in defaults.documents:
            if d["kind"] != "Secret":
                assert not [v for v in known if v in yaml.safe_dump(d)], d["metadata"]["name"]
        for role in ROLES:
            assert "secretKeyRef" not in str(defaults.container(role).get("env"))

    @pytest.mark.parametrize("given, end", [
        (values(database__mode="external", database__external__existingSecret="d"), "-postgres"),
        (values(redis__mode="external", redis__external__existingSecret="r"), "-redis"),
        (values(redis__enabled=False, redis__external__existingSecret="r"), "-redis")])
    def test_external_stores_leave_nothing_of_the_bundled_ones(self, given, end):
        left = [d for d in render(given).documents if d["metadata"]["name"].endswith(end)]
        assert [d["kind"] for d in left if d["kind"] != "NetworkPolicy"] == []


class TestCertificates:
    PROVES = {"media", "speech", "runtime", "integration"}

    def test_each_role_proves_one_name(self, defaults):
        made = {d["spec"]["commonName"]: d["spec"] for d in defaults.kinds("Certificate")}
        assert set(made) == {f"{r}.parley" for r in self.PROVES}
        for name, spec in made.items():
            assert spec["dnsNames"] == [name] and {"server auth", "client auth"} <= set(spec["usages"])
            assert spec["issuerRef"] == {"name": "voice-gateway-ca", "kind": "ClusterIssuer", "group": "cert-manager.io"}
            assert spec["privateKey"]["rotationPolicy"] == "Always"

    def test_each_role_has_its_own_and_no_other(self, defaults):
        made = {d["spec"]["commonName"].split(".")[0]: d["spec"]["secretName"] for d in defaults.kinds("Certificate")}
        for role in ROLES:
            seen = set(mounted_keys(defaults.pod(role))) & set(made.values())
            assert seen == ({made[role]} if role in made else set()), role
            assert ("mtls" in defaults.config(role)["security"]) == (role in made)

    def test_an_authority_of_the_releases_own(self):
        release = render(values(security__mtls__certManager__createIssuer=True))
        authority = next(d["spec"] for d in release.kinds("Certificate") if d["spec"].get("isCA"))
        assert authority["secretName"] == release.one("Issuer", "-ca")["spec"]["ca"]["secretName"]
        assert {d["spec"]["issuerRef"]["name"] for d in release.kinds("Certificate") if not d["spec"].get("isCA")} == {
            release.one("Issuer", "-ca")["metadata"]["name"]}

    def test_what_the_chart_makes_is_signed_by_one_authority(self, tmp_path):
        release = render(values(security__mtls__certManager__enabled=False))
        made = [decoded(d) for d in release.kinds("Secret") if d["type"] == "kubernetes.io/tls"]
        assert len(made) == 4 and len({m["ca.crt"] for m in made}) == 1
        (tmp_path / "ca").write_text(made[0]["ca.crt"])
        for each in made:
            (tmp_path / "one").write_text(each["tls.crt"])
            done = subprocess.run(["openssl", "verify", "-CAfile", tmp_path / "ca", tmp_path / "one"], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        assert "PRIVATE KEY" not in made[0]["ca.crt"]

    def test_existing(self):
        release = render(values(security__mtls__existingSecrets={r: f"my-{r}" for r in self.PROVES}))
        assert release.kinds("Certificate") == []
        for role in self.PROVES:
            assert f"my-{role}" in mounted_keys(release.pod(role))

    def test_off(self):
        release = render(values(security={"mtls": {"enabled": False}, "networkPolicy": {"nodeCIDRs": ["10.0.0.0/8"]}}))
        assert release.kinds("Certificate") == [] and "mtls" not in release.config("media")["security"]


class TestStores:
    def test_redis_is_a_majority(self, defaults):
        redis = defaults.workload("redis")
        assert redis["spec"]["replicas"] == 3
        assert [c["name"] for c in redis["spec"]["template"]["spec"]["containers"]] == ["redis", "sentinel"]
        address = defaults.config("media")["storage"]["redis"]
        assert address.startswith("redis+sentinel://") and address.count(":26379") == 3
        assert defaults.one("PodDisruptionBudget", "-redis")["spec"]["maxUnavailable"] == 1

    def test_redis_of_one(self):
        release = render(values(redis__architecture="standalone"))
        assert release.workload("redis")["spec"]["replicas"] == 1
        assert release.config("media")["storage"]["redis"].startswith("redis://")

    @pytest.mark.parametrize("store, key", [("redis", "redis.replica.persistence"), ("postgres", "database.persistence")])
    def test_volumes(self, store, key):
        big = render(nested(key, {"size": "5Gi", "storageClass": "fast"})).workload(store)["spec"]["volumeClaimTemplates"][0]["spec"]
        assert big["storageClassName"] == "fast" and big["resources"]["requests"]["storage"] == "5Gi"
        off = render(nested(key, {"enabled": False})).workload(store)
        assert "volumeClaimTemplates" not in off["spec"]
        assert {"name": "data", "emptyDir": {}} in off["spec"]["template"]["spec"]["volumes"]

    def test_a_database_outside(self):
        release = render(values(database={"mode": "external", "external": {"existingSecret": "d", "key": "address"}}))
        assert mounted_keys(release.pod("runtime"))["d"] == {"address"}
        assert release.config("runtime")["storage"]["database"].startswith("${file:/run/secrets/parley/database-url")

    def test_images_come_from_the_registry(self):
        release = render(values(global__imageRegistry="registry.internal:5000"))
        images = {c["image"] for _, _, p in release.pods() for c in p["containers"] + p.get("initContainers", [])}
        assert all(i.startswith("registry.internal:5000/") for i in images) and len(images) >= 3
        assert not [i for i in images if "docker.io" in i or "localhost" in i]
