"""What NetworkPolicies let through, as a network that applies them would."""
import ipaddress


class Network:
    def __init__(self, release):
        self.policies = [d["spec"] for d in release.kinds("NetworkPolicy")]
        self.labels = {labels["app.kubernetes.io/component"]: labels for _, labels, _ in release.pods()}
        self.ports = {}
        for _, labels, pod in release.pods():
            for c in pod["containers"]:
                for p in c.get("ports", []):
                    self.ports[labels["app.kubernetes.io/component"], p["name"]] = p["containerPort"]

    def open(self, source, target, port, protocol="TCP"):
        """Whether a connection may be made: source and target are components of the release, or addresses outside."""
        return self._side("Egress", source, target, target, port, protocol) and self._side("Ingress", target, source, target, port, protocol)

    def _side(self, direction, subject, peer, target, port, protocol):
        if subject not in self.labels:
            return True
        key, word = ("egress", "to") if direction == "Egress" else ("ingress", "from")
        applying = [p for p in self.policies if direction in p["policyTypes"] and self._selects(p["podSelector"], subject)]
        return not applying or any(
            self._peers(rule.get(word), peer) and self._port(rule.get("ports"), target, port, protocol)
            for p in applying for rule in p.get(key) or [])

    def _selects(self, selector, component):
        return selector.get("matchLabels", {}).items() <= self.labels[component].items() if component in self.labels else False

    def _peers(self, peers, component):
        return not peers or any(self._peer(p, component) for p in peers)

    def _peer(self, peer, component):
        if "ipBlock" in peer:
            if component in self.labels:
                # A pod's address is in no block that a policy should rely on.
                return peer["ipBlock"]["cidr"] in ("0.0.0.0/0", "::/0")
            network, address = ipaddress.ip_network(peer["ipBlock"]["cidr"]), ipaddress.ip_address(component)
            return address in network
        return "namespaceSelector" not in peer and component in self.labels and self._selects(peer["podSelector"], component)

    def _port(self, ports, target, port, protocol):
        return not ports or any(
            p.get("protocol", "TCP") == protocol and self._number(p["port"], target) <= port <= int(p.get("endPort", self._number(p["port"], target)))
            for p in ports)

    def _number(self, port, target):
        # A name that the target has not is no port of it.
        return self.ports.get((target, port), -1) if isinstance(port, str) else int(port)
