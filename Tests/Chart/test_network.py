"""networkpolicy.yaml, services.yaml, exposure.yaml: who reaches whom."""
import pytest

from cases import values
from chart import render
from policies import Network

PODS = values(mediaGateway__hostNetwork=False, mediaGateway__advertisedAddress="192.0.2.7", podDeletionCost__enabled=False)
ROLES = ["media", "speech", "runtime", "integration", "worker", "migrate", "redis", "postgres"]
PORTS = [50051, 50052, 50053, 6379, 26379, 5432]
ANYWHERE, NODE = "198.51.100.7", "10.0.0.5"

# The chain, and who uses which store; nothing else inside of the release.
EDGES = {
    ("media", "speech", 50051), ("speech", "runtime", 50052), ("runtime", "integration", 50053),
    *((role, "redis", port) for role in ("media", "speech", "runtime", "integration", "worker", "redis") for port in (6379, 26379)),
    *((role, "postgres", 5432) for role in ("runtime", "integration", "worker", "migrate")),
}


def edges(network):
    return {(a, b, port) for a in ROLES for b in ROLES for port in PORTS if {a, b} <= set(network.labels) and network.open(a, b, port)}


class TestPolicies:
    def test_the_chain_and_nothing_more(self):
        assert edges(Network(render(PODS))) == EDGES

    def test_with_sessions_in_postgres_every_role_reaches_it(self):
        more = {(role, "postgres", 5432) for role in ("media", "speech")}
        assert edges(Network(render(dict(PODS, **values(runtime__config__stateStore="postgres"))))) == EDGES | more

    def test_without_bundled_stores_nobody_reaches_their_ports(self):
        release = render({**PODS, **values(
            redis__mode="external", redis__external__existingSecret="r", database__mode="external", database__external__existingSecret="d")})
        assert not {(b, p) for _, b, p in edges(Network(release)) if p in (6379, 26379, 5432)}

    @pytest.mark.parametrize("role, port, protocol, open", [
        ("media", 5060, "UDP", True), ("media", 5060, "TCP", False), ("media", 10000, "UDP", True), ("media", 20000, "UDP", True),
        ("media", 20001, "UDP", False), ("media", 9100, "TCP", True), ("integration", 8080, "TCP", True), ("runtime", 9100, "TCP", True),
        ("speech", 50051, "TCP", False), ("runtime", 50052, "TCP", False), ("integration", 50053, "TCP", False),
        ("redis", 6379, "TCP", False), ("redis", 26379, "TCP", False), ("postgres", 5432, "TCP", False)])
    def test_from_outside(self, role, port, protocol, open):
        assert Network(render(PODS)).open(ANYWHERE, role, port, protocol) == open

    @pytest.mark.parametrize("role, port, open", [
        ("speech", 443, False), ("runtime", 443, True), ("integration", 443, True), ("worker", 443, True), ("integration", 5432, False),
        ("redis", 443, False), ("postgres", 443, False), ("migrate", 443, False), ("speech", 53, True), ("redis", 53, True)])
    def test_to_outside(self, role, port, open):
        assert Network(render(PODS)).open(role, ANYWHERE, port) == open

    def test_media_of_the_node_comes_from_the_nodes(self):
        """Policies cannot know it by its labels."""
        known = Network(render(values(security__networkPolicy__nodeCIDRs=["10.0.0.0/8"])))
        unknown = Network(render())
        for role, port in (("speech", 50051), ("redis", 6379)):
            assert known.open(NODE, role, port) and not known.open(ANYWHERE, role, port)
            assert unknown.open(ANYWHERE, role, port)
        for network in (known, unknown):
            assert not network.open(NODE, "runtime", 50052) and not network.open(NODE, "integration", 50053)
            assert not network.open(NODE, "postgres", 5432)

    def test_the_api_and_metrics_for_whom_the_values_say(self):
        peer = [{"ipBlock": {"cidr": "10.1.0.0/16"}}]
        network = Network(render({**PODS, **values(security__networkPolicy={"apiFrom": peer, "metricsFrom": peer})}))
        assert network.open("10.1.2.3", "integration", 8080) and not network.open(ANYWHERE, "integration", 8080)
        assert network.open("10.1.2.3", "speech", 9100) and not network.open(ANYWHERE, "speech", 9100)
        assert network.open("test", "integration", 8080)

    def test_a_site_without_a_way_out(self):
        network = Network(render({**PODS, **values(security__networkPolicy={
            "egressPorts": [], "extraEgress": [{"ports": [{"protocol": "TCP", "port": 8443}], "to": [{"ipBlock": {"cidr": "10.20.0.0/16"}}]}]})}))
        assert not network.open("integration", ANYWHERE, 443)
        assert network.open("integration", "10.20.0.1", 8443) and not network.open("integration", ANYWHERE, 8443)

    def test_traces_leave_by_their_port(self):
        on = {**PODS, **values(observability__tracing={"enabled": True, "otlpEndpoint": "http://collector:4318"})}
        assert Network(render(on)).open("speech", ANYWHERE, 4318) and not Network(render(PODS)).open("speech", ANYWHERE, 4318)

    def test_the_api_server_for_those_that_patch_their_pod(self):
        given = {**PODS, **values(podDeletionCost__enabled=True, security__networkPolicy__apiServer__cidrs=["10.9.0.1/32"])}
        network = Network(render(given))
        reach = {r for r in ROLES if network.open(r, "10.9.0.1", 6443)}
        # Media sends anywhere above 1024, for callers' ports.
        assert reach == {"media", "speech", "runtime"}
        assert not network.open("speech", ANYWHERE, 6443)

    def test_off(self):
        assert render(values(security__networkPolicy__enabled=False)).kinds("NetworkPolicy") == []


class TestServices:
    def test_sip_keeps_a_call_with_its_pod_and_the_callers_address(self, defaults):
        spec = defaults.one("Service", "-sip")["spec"]
        assert (spec["type"], spec["externalTrafficPolicy"], spec["sessionAffinity"]) == ("LoadBalancer", "Local", "ClientIP")
        assert [(p["port"], p["protocol"]) for p in spec["ports"]] == [(5060, "UDP")]

    def test_sip_as_the_values_say(self):
        spec = render(values(mediaGateway__service={
            "type": "NodePort", "sipPort": 5070, "nodePort": 30070, "externalTrafficPolicy": "Cluster", "sessionAffinity": "None",
            "annotations": {"a": "b"}}, mediaGateway__config__sipTransport=["udp", "tcp"])).one("Service", "-sip")
        assert spec["metadata"]["annotations"] == {"a": "b"}
        assert (spec["spec"]["externalTrafficPolicy"], spec["spec"]["sessionAffinity"]) == ("Cluster", "None")
        assert [(p["port"], p["protocol"], p["nodePort"]) for p in spec["spec"]["ports"]] == [(5070, "UDP", 30070), (5070, "TCP", 30070)]

    @pytest.mark.parametrize("end", ["-speech", "-runtime", "-integration-hop"])
    def test_hops_show_every_pod(self, defaults, end):
        assert defaults.one("Service", end)["spec"]["clusterIP"] == "None"

    @pytest.mark.parametrize("role, hop, end, port", [
        ("media", "speech", "-speech", 50051), ("speech", "runtime", "-runtime", 50052), ("runtime", "integration", "-integration-hop", 50053)])
    def test_each_role_dials_the_service_of_the_next(self, defaults, role, hop, end, port):
        service = defaults.one("Service", end)
        assert defaults.config(role)["cluster"][hop] == [f"{service['metadata']['name']}.voice.svc:{port}"]
        assert [p["port"] for p in service["spec"]["ports"]] == [port]

    def test_metrics_of_pods_that_are_not_ready_too(self, defaults):
        spec = defaults.one("Service", "-metrics")["spec"]
        assert spec["publishNotReadyAddresses"] and spec["clusterIP"] == "None"


class TestExposure:
    def test_none_by_default(self, defaults):
        assert defaults.kinds("Ingress", "Gateway", "HTTPRoute") == []

    def test_ingress(self):
        release = render(values(ingress={"enabled": True, "className": "traefik", "annotations": {"a": "b"}, "tls": [
            {"hosts": ["v.example.com"], "secretName": "t"}], "hosts": [{"host": "v.example.com", "paths": [{"path": "/", "pathType": "Prefix"}]}]}))
        ingress = release.one("Ingress")
        assert ingress["spec"]["ingressClassName"] == "traefik" and ingress["metadata"]["annotations"]["a"] == "b"
        assert ingress["spec"]["tls"] == [{"hosts": ["v.example.com"], "secretName": "t"}]
        rule = ingress["spec"]["rules"][0]
        backend = rule["http"]["paths"][0]["backend"]["service"]
        assert rule["host"] == "v.example.com" and backend["name"] == release.one("Service", "-integration")["metadata"]["name"]
        assert backend["port"]["name"] in [p["name"] for p in release.one("Service", "-integration")["spec"]["ports"]]

    def test_gateway_of_ours(self):
        release = render(values(exposure={"mode": "gatewayApi", "gatewayApi": {
            "createGateway": True, "gatewayClassName": "g", "listenerHostname": "v.example.com", "tlsSecret": "t"}}))
        gateway, route = release.one("Gateway"), release.one("HTTPRoute")
        listener = gateway["spec"]["listeners"][0]
        assert (listener["port"], listener["protocol"], listener["hostname"]) == (443, "HTTPS", "v.example.com")
        assert listener["tls"]["certificateRefs"] == [{"name": "t"}]
        assert route["spec"]["parentRefs"] == [{"name": gateway["metadata"]["name"]}]
        assert route["spec"]["rules"][0]["backendRefs"][0]["name"] == release.one("Service", "-integration")["metadata"]["name"]

    def test_their_gateway(self):
        parent = [{"name": "public", "namespace": "gateways"}]
        release = render(values(exposure={"mode": "gatewayApi", "gatewayApi": {"parentRefs": parent, "hostnames": ["v.example.com"]}}))
        assert release.kinds("Gateway") == []
        assert release.one("HTTPRoute")["spec"]["parentRefs"] == parent
        assert release.one("HTTPRoute")["spec"]["hostnames"] == ["v.example.com"]

    def test_event_streams_stay_open(self):
        route = render(values(exposure={"mode": "gatewayApi", "gatewayApi": {"parentRefs": [{"name": "g"}]}})).one("HTTPRoute")
        assert route["spec"]["rules"][0]["timeouts"]["request"] == "0s"
