"""What holds of every rendering, whatever the values say."""
import re

import schemas
from chart import ROLES, Release, mounted_keys, option, seconds

LABEL = re.compile(r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")
# Of what DNS or a label carries too: Services, and StatefulSets with the hash of their revision.
LONGEST = {"Service": 63, "Job": 63, "StatefulSet": 52}
NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
NAMED = re.compile(r"\$\{file:/run/secrets/parley/([\w.-]+)")


def broken(release: Release, version):
    """Sentences on what is wrong; none is well."""
    found = []
    for document in release.documents:
        place = f"{document['kind']} {document['metadata']['name']}"
        problem = schemas.problem(document, version)
        if problem:
            found.append(f"{place}: {problem}")
    for rule in (objects, pods, selectors, ports, references, secrets, scaling, stopping, network):
        found += rule(release)
    return found


def objects(release):
    names = [(d["kind"], d["metadata"]["name"]) for d in release.documents]
    for name in sorted({n for n in names if names.count(n) > 1}):
        yield f"two objects are {name}"
    for d in release.documents:
        place, labels = f"{d['kind']} {d['metadata']['name']}", d["metadata"].get("labels", {})
        if not NAME.match(d["metadata"]["name"]) or len(d["metadata"]["name"]) > LONGEST.get(d["kind"], 253):
            yield f"{place}: no name for an object"
        for key, value in labels.items():
            if not LABEL.match(value):
                yield f"{place}: label {key}: {value!r}"
        if labels.get("app.kubernetes.io/managed-by") != "Helm":
            yield f"{place}: not labelled as the release's"
        if d["kind"] == "ConfigMap" and sum(len(v) for v in d["data"].values()) > 1_000_000:
            yield f"{place}: too large for etcd"


def pods(release):
    """The restricted Pod Security Standard (but for media's host ports), and more."""
    for owner, labels, pod in release.pods():
        place, component = f"{owner['kind']} {owner['metadata']['name']}", labels.get("app.kubernetes.io/component")
        if pod.get("automountServiceAccountToken") is not False:
            yield f"{place}: has a token unasked"
        if pod.get("enableServiceLinks") is not False:
            yield f"{place}: Services become variables"
        if pod.get("hostNetwork") and component not in ("media", "coturn"):
            yield f"{place}: is in the node's network"
        if pod.get("hostPID") or pod.get("hostIPC"):
            yield f"{place}: sees the node's processes"
        if pod["securityContext"].get("runAsNonRoot") is not True:
            yield f"{place}: may be root"
        if pod["securityContext"].get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{place}: has no seccomp profile"
        volumes = {v["name"]: v for v in pod.get("volumes", [])}
        claims = {c["metadata"]["name"] for c in owner.get("spec", {}).get("volumeClaimTemplates", [])}
        containers, mounted = pod["containers"] + pod.get("initContainers", []), set()
        for name, volume in volumes.items():
            if not set(volume) - {"name"} <= {"configMap", "emptyDir", "projected", "secret", "persistentVolumeClaim", "image"}:
                yield f"{place}: volume {name} is of a kind that is not allowed"
        for c in containers:
            security = c.get("securityContext", {})
            if security.get("readOnlyRootFilesystem") is not True:
                yield f"{place}: {c['name']} can write to its image"
            if security.get("allowPrivilegeEscalation") is not False or security.get("privileged"):
                yield f"{place}: {c['name']} can gain privileges"
            # All that the restricted standard lets one add; coturn's program asks for it.
            may = {"add": ["NET_BIND_SERVICE"]} if component == "coturn" else {}
            if security.get("capabilities") not in ({"drop": ["ALL"]}, {"drop": ["ALL"], **may}):
                yield f"{place}: {c['name']} has capabilities"
            if {"requests", "limits"} - set(c.get("resources", {})):
                yield f"{place}: {c['name']} has no bounds"
            last = c["image"].split("/")[-1]
            if last.endswith(":latest") or not (":" in last or "@" in last):
                yield f"{place}: {c['name']} has an image without a version"
            mounted |= {m["name"] for m in c.get("volumeMounts", [])}
        for name in sorted(mounted - set(volumes) - claims):
            yield f"{place}: mounts {name}, which is not there"
        for name in sorted(set(volumes) - mounted):
            yield f"{place}: nothing mounts {name}"


def _matching(release, selector):
    # The controller of a StatefulSet labels each pod with its name.
    name = selector.get("statefulset.kubernetes.io/pod-name")
    selector = {k: v for k, v in selector.items() if k != "statefulset.kubernetes.io/pod-name"}
    if name and name.rpartition("-")[0] not in release.names("StatefulSet"):
        return []
    return [(o, p) for o, labels, p in release.pods() if selector.items() <= labels.items()]


def selectors(release):
    """Whoever selects pods finds some."""
    for d in release.kinds("Service", "PodDisruptionBudget", "Deployment", "StatefulSet", "DaemonSet"):
        selector = d["spec"].get("selector")
        if d["kind"] != "Service":
            selector = selector["matchLabels"]
        if selector and not _matching(release, selector):
            yield f"{d['kind']} {d['metadata']['name']}: selects no pod"
    for d in release.kinds("StatefulSet"):
        if d["spec"]["serviceName"] not in release.names("Service"):
            yield f"StatefulSet {d['metadata']['name']}: its Service {d['spec']['serviceName']} is not there"
    for d in release.kinds("ServiceMonitor"):
        wanted = d["spec"]["selector"]["matchLabels"].items()
        services = [s for s in release.kinds("Service") if wanted <= s["metadata"]["labels"].items()]
        for endpoint in d["spec"]["endpoints"]:
            if not any(endpoint["port"] == p["name"] for s in services for p in s["spec"]["ports"]):
                yield f"ServiceMonitor {d['metadata']['name']}: no Service has the port {endpoint['port']}"


def _opened(pod):
    """{name or number: protocol} of the ports of a pod."""
    made = {}
    for c in pod["containers"]:
        for p in c.get("ports", []):
            made[p.get("name")] = made[p["containerPort"]] = p.get("protocol", "TCP")
    return made


def ports(release):
    for owner, _, pod in release.pods():
        opened = [(p["containerPort"], p.get("protocol", "TCP")) for c in pod["containers"] for p in c.get("ports", [])]
        for port in sorted({p for p in opened if opened.count(p) > 1}):
            yield f"{owner['kind']} {owner['metadata']['name']}: two servers on {port}"
        for c in pod["containers"]:
            for name in (p.get("name", "") for p in c.get("ports", [])):
                if len(name) > 15:
                    yield f"{owner['kind']} {owner['metadata']['name']}: {name} is too long for a port's name"
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                http = c.get(probe, {}).get("httpGet")
                if http and http["port"] not in _opened(pod):
                    yield f"{owner['kind']} {owner['metadata']['name']}: {probe} asks port {http['port']}, which is not open"
    for d in release.kinds("Service"):
        for _, pod in _matching(release, d["spec"].get("selector") or {"": ""}):
            for p in d["spec"]["ports"]:
                # A port without a name may be one of RTP's, which come and go.
                target = p.get("targetPort", p["port"])
                if _opened(pod).get(target) != p.get("protocol", "TCP") and isinstance(target, str):
                    yield f"Service {d['metadata']['name']}: {target} leads nowhere"


def _named_by_values(tree, key=""):
    """Names of objects that whoever installs says to have."""
    if isinstance(tree, dict):
        for k, v in tree.items():
            yield from _named_by_values(v, f"{key}.{k}")
    elif isinstance(tree, str) and re.search(r"existing|[sS]ecret|ConfigMap", key):
        yield tree


def references(release):
    """What pods name is made by the release, by cert-manager for it, or named in the values."""
    given = set(_named_by_values(release.values))
    secrets_there = release.names("Secret") | {d["spec"]["secretName"] for d in release.kinds("Certificate")} | given
    maps_there, claims_there = release.names("ConfigMap") | given | {"kube-root-ca.crt"}, release.names("PersistentVolumeClaim") | given
    accounts_there = release.names("ServiceAccount") | {release.values["serviceAccount"]["name"], "default"}
    for owner, _, pod in release.pods():
        place = f"{owner['kind']} {owner['metadata']['name']}"
        for name in sorted(set(mounted_keys(pod)) - secrets_there):
            yield f"{place}: the Secret {name} is nobody's"
        if pod.get("serviceAccountName", "default") not in accounts_there:
            yield f"{place}: the account {pod['serviceAccountName']} is nobody's"
        for volume in pod.get("volumes", []):
            maps = [s.get("configMap", {}) for s in volume.get("projected", {}).get("sources", [])] + [volume.get("configMap", {})]
            for each in maps:
                if each and not each.get("optional") and each["name"] not in maps_there:
                    yield f"{place}: the ConfigMap {each['name']} is nobody's"
                there = next((d["data"] for d in release.kinds("ConfigMap") if d["metadata"]["name"] == each.get("name")), None)
                for item in each.get("items", []):
                    if there is not None and item["key"] not in there:
                        yield f"{place}: the ConfigMap {each['name']} has no {item['key']}"
            claim = volume.get("persistentVolumeClaim")
            if claim and claim["claimName"] not in claims_there:
                yield f"{place}: the claim {claim['claimName']} is nobody's"


def secrets(release):
    """A role sees the keys that its configuration file names. (More of the values' own, where dialogs and services may name them.)"""
    free = set(release.values["secrets"]["extra"]) | set(release.values["secrets"]["extraKeys"])
    for role in ROLES:
        pod, file = release.pod(role), release.files()[role]
        seen = set()
        for volume in pod["volumes"]:
            if volume["name"] == "secrets":
                seen = {i["path"] for s in volume["projected"]["sources"] for i in s["secret"]["items"]}
        named = set(NAMED.findall(file))
        if named - seen:
            yield f"{role}: its file names {sorted(named - seen)}, which is not mounted"
        if seen - named - free:
            yield f"{role}: sees {sorted(seen - named - free)}, which its file does not name"
        there = {d["metadata"]["name"]: set(d.get("data", {})) | set(d.get("stringData", {})) for d in release.kinds("Secret")}
        for name, keys in mounted_keys(pod).items():
            if name in there and keys and keys - there[name]:
                yield f"{role}: the Secret {name} has no {sorted(keys - there[name])}"


def scaling(release):
    """One scaler for a workload, and then nobody else says how many pods it has."""
    targets = [d["spec"]["scaleTargetRef"]["name"] for d in release.kinds("HorizontalPodAutoscaler", "ScaledObject")]
    for name in sorted(set(targets)):
        workload = [d for d in release.kinds("Deployment", "StatefulSet") if d["metadata"]["name"] == name]
        if targets.count(name) > 1:
            yield f"{name} is scaled by two"
        if not workload:
            yield f"{name} is scaled and not there"
        elif "replicas" in workload[0]["spec"]:
            yield f"{name} is scaled, and an upgrade would set it back to {workload[0]['spec']['replicas']}"


def stopping(release):
    """A pod is given the time that its drain may take: the hook's delay and wait, or the sleep and then the gateway's own wait."""
    for role in ROLES:
        pod, c = release.pod(role), release.container(role)
        wait = seconds(option(c["command"], "--drain-timeout") or "0s")
        hook = c["lifecycle"]["preStop"]
        if "sleep" in hook:
            need = hook["sleep"]["seconds"] + wait
        else:
            command = hook["exec"]["command"]
            if command[:2] != ["parley", "drain"]:
                yield f"{role}: stops by {command}, not by a drain"
            if option(command, "--ready-file") != option(c["command"], "--ready-file"):
                yield f"{role}: drains another process than it serves"
            need = seconds(option(command, "--delay") or "0s") + max(wait, seconds(option(command, "--timeout") or "0s"))
        if pod["terminationGracePeriodSeconds"] <= need:
            yield f"{role}: is killed after {pod['terminationGracePeriodSeconds']} s, and draining may take {need} s"


def network(release):
    """With policies, every pod is under the one that shuts everything."""
    if not release.values["security"]["networkPolicy"]["enabled"]:
        return
    shut = [d["spec"]["podSelector"].get("matchLabels", {}) for d in release.kinds("NetworkPolicy")
            if set(d["spec"]["policyTypes"]) == {"Ingress", "Egress"} and not d["spec"].get("ingress")]
    for owner, labels, _ in release.pods():
        if not any(s.items() <= labels.items() for s in shut):
            yield f"{owner['kind']} {owner['metadata']['name']}: no policy shuts it"
    for d in release.kinds("NetworkPolicy"):
        for _, pod in _matching(release, d["spec"]["podSelector"].get("matchLabels", {"": ""})):
            if "app.kubernetes.io/component" not in d["spec"]["podSelector"].get("matchLabels", {}):
                continue
            for rule in d["spec"].get("ingress") or []:
                for p in rule.get("ports", []):
                    if isinstance(p["port"], str) and p["port"] not in _opened(pod):
                        yield f"NetworkPolicy {d['metadata']['name']}: no pod has the port {p['port']}"
