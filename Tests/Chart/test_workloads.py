"""workloads.yaml, _pod.tpl, _config.tpl, migrate.yaml, tests/: the pods of the gateway."""
import pytest

from cases import values
from chart import DEFAULTS, NEWEST, OLDEST, ROLES, at, merged, option, render, seconds

GPU = values(speechGateway={"engines": ["embedded", "whisper"], "modelStorage": {"accessMode": "ReadWriteMany"}})
ROLE = pytest.mark.parametrize("role", ROLES)
DIGEST = "sha256:" + "a" * 64


@ROLE
class TestEveryRole:
    def test_serves_its_role(self, role, defaults):
        command = defaults.container(role)["command"]
        assert command[:2] == ["parley", "serve"] and option(command, "--role") == role

    def test_probes_are_apart(self, role, defaults):
        c = defaults.container(role)
        assert [c[p]["httpGet"]["path"] for p in ("startupProbe", "readinessProbe", "livenessProbe")] == ["/startupz", "/readyz", "/livez"]
        # Starting may take minutes; not being ready shows at once; a restart costs calls and comes late.
        patience = {p: c[p]["periodSeconds"] * c[p]["failureThreshold"] for p in ("startupProbe", "readinessProbe", "livenessProbe")}
        assert patience["startupProbe"] >= 120 and patience["readinessProbe"] <= 10 and patience["livenessProbe"] >= 60

    @pytest.mark.parametrize("version", [OLDEST, NEWEST])
    def test_a_longer_drain_is_given_a_longer_grace(self, role, version, defaults):
        release = render({ROLES[role]: {"drainMaxWaitSeconds": 700}}, version=version)
        assert option(release.container(role)["command"], "--drain-timeout") == "700s"
        assert release.pod(role)["terminationGracePeriodSeconds"] > 700

    def test_the_hook_waits_as_long_as_the_values_say(self, role, defaults):
        longer = render({ROLES[role]: {"preStopSleepSeconds": 40, "terminationGracePeriodSeconds": 0}})
        hook = longer.container(role)["lifecycle"]["preStop"]
        assert 40 == (hook["sleep"]["seconds"] if "sleep" in hook else seconds(option(hook["exec"]["command"], "--delay")))
        assert longer.pod(role)["terminationGracePeriodSeconds"] > defaults.pod(role)["terminationGracePeriodSeconds"]

    def test_grace_as_the_values_say(self, role):
        assert render({ROLES[role]: {"terminationGracePeriodSeconds": 900}}).pod(role)["terminationGracePeriodSeconds"] == 900

    def test_image_by_digest_and_registry(self, role):
        image = values(global__image__digest=DIGEST, global__imageRegistry="registry.internal:5000/mirror/")
        assert render(image).container(role)["image"] == f"registry.internal:5000/mirror/parley@{DIGEST}"

    def test_is_spread_and_kept(self, role, defaults):
        assert {c["topologyKey"] for c in defaults.pod(role)["topologySpreadConstraints"]} == {
            "kubernetes.io/hostname", "topology.kubernetes.io/zone"}
        budget = defaults.one("PodDisruptionBudget", f"-{role}")["spec"]
        assert budget["maxUnavailable"] == 1
        assert budget["selector"] == defaults.workload(role)["spec"]["selector"]
        off = render({ROLES[role]: {"pdb": {"enabled": False}}})
        assert not [n for n in off.names("PodDisruptionBudget") if n.endswith(f"-{role}")]

    def test_is_placed_as_the_values_say(self, role):
        place = {"nodeSelector": {"pool": "a"}, "tolerations": [{"key": "voice", "operator": "Exists"}], "affinity": {"nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": {"matchExpressions": []}}]}}}
        pod = render({ROLES[role]: {**place, "podAnnotations": {"a": "b"}}, "priorityClassName": "calls"}).pod(role)
        assert {k: pod[k] for k in place} == place and pod["priorityClassName"] == "calls"

    def test_number_of_pods(self, role):
        release = render({ROLES[role]: {"autoscaling": {"enabled": False}, "replicas": 7}})
        assert release.workload(role)["spec"]["replicas"] == 7

    def test_restarts_when_its_own_file_changes_and_no_other(self, role, defaults):
        changes = {
            "media": values(mediaGateway__config__jitterBufferMs=80), "speech": values(speechGateway__config__maxWorkers=2),
            "runtime": values(runtime__config__maxConcurrentCalls=7), "integration": values(integration__config__maxRetries=9),
        }
        if role in changes:
            changed = render(changes[role])
            assert {r for r in ROLES if template(changed, r) != template(defaults, r)} == {role}

    def test_a_change_of_scale_restarts_nothing(self, role, defaults):
        more = render({ROLES[role]: {"autoscaling": {"maxReplicas": 9, "targetCPUUtilization": 40}, "pdb": {"maxUnavailable": 2}}})
        assert template(more, role) == template(defaults, role)


def template(release, role):
    return release.workload(role)["spec"]["template"]


class TestMedia:
    def test_is_of_the_node_with_cluster_names(self, defaults):
        pod = defaults.pod("media")
        assert pod["hostNetwork"] is True and pod["dnsPolicy"] == "ClusterFirstWithHostNet"
        assert defaults.workload("media")["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}

    @pytest.mark.parametrize("given, source", [("podIP", "status.podIP"), ("hostIP", "status.hostIP")])
    def test_advertises_an_address_of_its_own(self, given, source):
        assert self.address(given)["valueFrom"]["fieldRef"]["fieldPath"] == source

    def test_advertises_the_address_given(self):
        assert self.address("192.0.2.7")["value"] == "192.0.2.7"

    @staticmethod
    def address(given):
        release = render(values(mediaGateway__hostNetwork=False, mediaGateway__advertisedAddress=given))
        return next(e for e in release.container("media")["env"] if e["name"] == "VG_MEDIA_ADVERTISED_ADDRESS")

    def test_metrics_of_the_node_are_not_on_the_node_exporters_port(self, defaults):
        assert defaults.config("media")["observability"]["metrics"]["port"] == 9110
        assert render(values(mediaGateway__hostNetwork=False)).config("media")["observability"]["metrics"]["port"] == 9100


class TestSpeech:
    def gpu(self, given):
        return render(merged(GPU, given))

    def test_asks_for_no_gpu_without_an_engine_that_uses_one(self, defaults):
        assert "nvidia.com/gpu" not in str(defaults.pod("speech")) and defaults.kinds("PersistentVolumeClaim") == []
        assert defaults.config("speech")["speech"]["engine"] == "embedded"

    def test_nvidia(self):
        release = self.gpu(values(speechGateway__gpu__count=2))
        assert release.container("speech")["resources"]["limits"]["nvidia.com/gpu"] == 2
        assert release.pod("speech")["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
        assert release.pod("speech")["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
        assert release.config("speech")["speech"]["gpu"] is True

    def test_amd(self):
        release = self.gpu(values(speechGateway__gpu__type="amd"))
        assert "amd.com/gpu" in release.container("speech")["resources"]["limits"]
        assert "nvidia" not in str(release.pod("speech"))

    def test_models(self):
        release = self.gpu(values(speechGateway__modelStorage={"size": "20Gi", "storageClass": "fast", "mountPath": "/srv/models"}))
        claim = release.one("PersistentVolumeClaim")
        assert claim["spec"]["storageClassName"] == "fast" and claim["spec"]["resources"]["requests"]["storage"] == "20Gi"
        assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        assert release.config("speech")["speech"]["model_dir"] == "/srv/models"
        assert "/srv/models" in [m["mountPath"] for m in release.container("speech")["volumeMounts"]]

    def test_models_of_an_existing_claim(self):
        release = self.gpu(values(speechGateway__modelStorage__existingClaim="m"))
        assert release.kinds("PersistentVolumeClaim") == []

    def test_an_image_of_its_own(self):
        release = render(values(speechGateway__image__tag="1-speech"))
        assert release.container("speech")["image"].endswith(":1-speech") and not release.container("media")["image"].endswith("speech")


class TestRuntime:
    def test_dialogs_of_the_values_and_of_a_config_map(self):
        release = render(values(runtime__dialogs={"a.yaml": "name: a\n"}, runtime__dialogConfigMap="mine"))
        assert release.dialogs() == {"a.yaml": "name: a\n"}
        volume = next(v for v in release.pod("runtime")["volumes"] if v["name"] == "dialogs")
        assert [s["configMap"]["name"] for s in volume["projected"]["sources"]] == ["vg-voice-gateway-dialogs", "mine"]

    def test_the_starter_dialog_is_there_until_others_are(self, defaults):
        assert list(defaults.dialogs()) == ["starter.yaml"]
        assert render(values(runtime__starterDialog=False)).dialogs() == {}


class TestMigration:
    def test_whoever_uses_the_database_waits_for_its_schema(self, defaults):
        for role in ROLES:
            waits = [c["command"][:2] for c in defaults.pod(role).get("initContainers", [])]
            assert (["parley", "migrate"] in waits) == (role in ("runtime", "integration", "worker")), role

    def test_the_job_is_bounded(self):
        spec = render(values(migrate={"activeDeadlineSeconds": 77, "backoffLimit": 3})).one("Job", "")["spec"]
        assert (spec["activeDeadlineSeconds"], spec["backoffLimit"]) == (77, 3)

    def test_off(self):
        assert not [n for n in render(values(migrate__enabled=False)).names("Job") if "migrate" in n]

    def test_the_job_sees_the_database_and_nothing_else(self, defaults):
        assert set(defaults.config("migrate")) <= {"storage"}


class TestHelmTest:
    def test_calls_the_starter_by_the_sip_service(self, defaults):
        command = defaults.one("Pod", "-test-call")["spec"]["containers"][0]["command"]
        assert command[:3] == ["parley", "call", "sip:starter@vg-voice-gateway-sip.voice.svc:5060"]

    def test_calls_whom_the_values_say(self):
        release = render(values(tests__uri="sip:help@example.com", runtime__starterDialog=False))
        assert release.one("Pod", "-test-call")["spec"]["containers"][0]["command"][2] == "sip:help@example.com"

    def test_calls_nobody_where_there_is_nobody(self):
        assert not [n for n in render(values(runtime__starterDialog=False)).names("Pod") if n.endswith("-test-call")]

    def test_are_tests_and_nothing_that_is_installed(self, defaults):
        assert {d["metadata"]["annotations"]["helm.sh/hook"] for d in defaults.kinds("Pod")} == {"test"}

    def test_asks_the_api(self, defaults):
        assert "http://vg-voice-gateway-integration.voice.svc:8080" in str(defaults.one("Pod", "-test-api"))


class TestServiceAccounts:
    def test_one_for_each_role(self, defaults):
        accounts = [defaults.pod(role)["serviceAccountName"] for role in ROLES]
        assert len(set(accounts)) == len(ROLES)
        assert all(d["automountServiceAccountToken"] is False for d in defaults.kinds("ServiceAccount"))

    def test_a_token_only_with_a_right_that_needs_it(self, defaults):
        bound = {s["name"] for d in defaults.kinds("RoleBinding") for s in d["subjects"]}
        for role in ROLES:
            has = any("serviceAccountToken" in s for v in defaults.pod(role)["volumes"] for s in v.get("projected", {}).get("sources", []))
            assert has == (defaults.pod(role)["serviceAccountName"] in bound), role
        assert defaults.kinds("ClusterRole", "ClusterRoleBinding") == []


def test_every_default_switch_of_a_role_is_used():
    """What the values promise for one role they promise for all."""
    common = {"replicas", "resources", "drainMaxWaitSeconds", "terminationGracePeriodSeconds", "preStopSleepSeconds", "pdb", "nodeSelector",
              "tolerations", "affinity", "podAnnotations", "autoscaling"}
    for key in ROLES.values():
        assert common <= set(at(DEFAULTS, key)), key
