"""Scaling (workloads.yaml) and observability.yaml."""
import os
import re

import pytest

from cases import values
from chart import ROLES, ROOT, render, run, yaml

KEDA = {key: {"autoscaling": {"keda": {"enabled": True}}} for key in ROLES.values()}
GPU = values(speechGateway={"engines": ["embedded", "whisper"], "modelStorage": {"accessMode": "ReadWriteMany"}})


class TestHorizontalPodAutoscaler:
    # minimum, maximum, percent of the processor
    @pytest.mark.parametrize("role, bounds", [
        ("media", (2, 10, 70)), ("speech", (1, 5, 70)), ("runtime", (2, 20, 60)), ("integration", (2, 10, 60))])
    def test_bounds(self, defaults, role, bounds):
        spec = defaults.one("HorizontalPodAutoscaler", f"-{role}")["spec"]
        percent = spec["metrics"][0]["resource"]["target"]["averageUtilization"]
        assert (spec["minReplicas"], spec["maxReplicas"], percent) == bounds
        assert spec["scaleTargetRef"]["kind"] == defaults.workload(role)["kind"]

    def test_workers_are_not_scaled_unasked(self, defaults):
        assert not [n for n in defaults.names("HorizontalPodAutoscaler") if n.endswith("-worker")]
        assert render(values(workers__autoscaling__enabled=True)).one("HorizontalPodAutoscaler", "-worker")

    def test_a_gpu_scales_by_itself(self):
        metric = render(GPU).one("HorizontalPodAutoscaler", "-speech")["spec"]["metrics"][0]
        assert metric["type"] == "Pods" and metric["pods"]["target"]["averageValue"] == "80"

    def test_pods_go_slowly(self, defaults):
        for scaler in defaults.kinds("HorizontalPodAutoscaler"):
            down = scaler["spec"]["behavior"]["scaleDown"]
            assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 120}] and down["stabilizationWindowSeconds"] >= 300


class TestScaledObject:
    def test_takes_the_place_of_the_other(self):
        release = render(KEDA)
        assert release.kinds("HorizontalPodAutoscaler") == [] and len(release.kinds("ScaledObject")) == len(ROLES)

    @pytest.mark.parametrize("role, metric", [
        ("media", "vg_calls_held"), ("speech", "vg_asr_queue_depth"), ("runtime", "vg_calls_held"), ("integration", "vg_calls_active"),
        ("worker", "vg_jobs_queue_depth")])
    def test_asks_for_a_metric_that_the_gateway_has(self, role, metric):
        trigger = render(KEDA).one("ScaledObject", f"-{role}")["spec"]["triggers"][0]["metadata"]
        assert re.findall(r"vg_\w+", trigger["query"]) == [metric]
        assert 'namespace="voice"' in trigger["query"] and trigger["serverAddress"].startswith("http://prometheus")
        assert run("grep", "-rqF", f'"{metric}"', os.path.join(ROOT, "Sources")).returncode == 0

    def test_goes_slowly_too(self):
        for scaler in render(KEDA).kinds("ScaledObject"):
            behavior = scaler["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
            assert behavior["scaleDown"]["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 120}]


class TestObservability:
    def test_every_role_is_scraped_as_the_rules_look_for_it(self, defaults):
        endpoint = defaults.one("ServiceMonitor")["spec"]["endpoints"][0]
        assert endpoint["interval"] == "15s"
        assert {"targetLabel": "job", "replacement": "parley"} in endpoint["relabelings"]
        selector = defaults.one("Service", "-metrics")["spec"]["selector"]
        assert {l["app.kubernetes.io/component"] for _, l, _ in defaults.pods() if selector.items() <= l.items()} == set(ROLES)

    def test_rules_are_those_of_the_repository(self, defaults):
        with open(os.path.join(ROOT, "deploy", "observability", "prometheus", "parley.rules.yml")) as file:
            assert defaults.one("PrometheusRule")["spec"] == yaml.safe_load(file)

    def test_dashboards_are_those_of_the_repository(self, defaults):
        folder = os.path.join(ROOT, "deploy", "observability", "grafana")
        there = {k: v for d in defaults.kinds("ConfigMap") if d["metadata"]["labels"].get("grafana_dashboard") for k, v in d["data"].items()}
        assert set(there) == {f for f in os.listdir(folder) if f.endswith(".json")}
        for name, text in there.items():
            with open(os.path.join(folder, name)) as file:
                assert text.strip() == file.read().strip()

    def test_labels_by_which_others_find_them(self):
        release = render(values(observability__metrics={
            "serviceMonitor": {"labels": {"release": "p"}}, "prometheusRule": {"labels": {"release": "p"}}, "dashboards": {"labels": {"mine": "1"}}}))
        for kind in ("ServiceMonitor", "PrometheusRule"):
            assert release.one(kind)["metadata"]["labels"]["release"] == "p"
        assert [d for d in release.kinds("ConfigMap") if d["metadata"]["labels"].get("mine") == "1"]

    def test_off(self):
        release = render(values(observability__metrics__enabled=False))
        assert release.kinds("ServiceMonitor", "PrometheusRule") == []
        assert release.config("media")["observability"]["metrics"]["enabled"] is False

    def test_traces(self):
        tracing = {"enabled": True, "otlpEndpoint": "http://collector:4318", "sampleRatio": 0.1}
        made = render(values(observability__tracing=tracing)).config("runtime")["observability"]["tracing"]
        assert made == {"enabled": True, "otlp_endpoint": "http://collector:4318", "sample_ratio": 0.1}
