"""As much of a Kubernetes API server as Helm asks while it renders for a cluster: which kinds there are, and a few objects."""
import contextlib
import http.server
import json
import threading

import yaml

KINDS = {
    "v1": {
        "pods": "Pod", "secrets": "Secret", "configmaps": "ConfigMap", "services": "Service", "serviceaccounts": "ServiceAccount",
        "persistentvolumeclaims": "PersistentVolumeClaim"},
    "apps/v1": {"deployments": "Deployment", "statefulsets": "StatefulSet", "daemonsets": "DaemonSet"},
    "batch/v1": {"jobs": "Job"},
    "autoscaling/v2": {"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
    "networking.k8s.io/v1": {"networkpolicies": "NetworkPolicy", "ingresses": "Ingress"},
    "rbac.authorization.k8s.io/v1": {"roles": "Role", "rolebindings": "RoleBinding"},
    "storage.k8s.io/v1": {"storageclasses": "StorageClass"},
}
CERT_MANAGER = {"cert-manager.io/v1": {"certificates": "Certificate", "issuers": "Issuer"}}
PROMETHEUS = {"monitoring.coreos.com/v1": {"servicemonitors": "ServiceMonitor", "prometheusrules": "PrometheusRule"}}
WITH_A_DEFAULT_CLASS = {"metadata": {"name": "fast", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}}


@contextlib.contextmanager
def cluster(folder, secrets=(), classes=(WITH_A_DEFAULT_CLASS,), more=({**CERT_MANAGER, **PROMETHEUS})):
    """The path of a kubeconfig for a cluster with these Secrets, storage classes, and other people's kinds."""
    there = {**KINDS, **more}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            code, answer = answer_to(self.path.split("?")[0].strip("/").split("/"), there, secrets, classes)
            body = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        path = folder / "kubeconfig"
        path.write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{"name": "u", "user": {}}],
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}))
        path.chmod(0o600)
        yield str(path)
    finally:
        server.shutdown()
        server.server_close()


def answer_to(path, there, secrets, classes):
    missing = 404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404, "message": "not found"}
    if path == ["version"]:
        return 200, {"major": "1", "minor": "30", "gitVersion": "v1.30.0"}
    if path == ["api"]:
        return 200, {"kind": "APIVersions", "versions": ["v1"]}
    if path == ["apis"]:
        groups = [{"groupVersion": v, "version": v.split("/")[1]} for v in there if "/" in v]
        return 200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": [
            {"name": g["groupVersion"].split("/")[0], "versions": [g], "preferredVersion": g} for g in groups]}
    version = "/".join(path[1:3] if path[0] == "apis" else path[1:2])
    if version not in there:
        return missing
    rest = path[len(version.split("/")) + 1:]
    if not rest:
        return 200, {"kind": "APIResourceList", "groupVersion": version, "resources": [
            {"name": name, "kind": kind, "namespaced": name != "storageclasses", "verbs": ["get", "list"]}
            for name, kind in there[version].items()]}
    if rest == ["storageclasses"]:
        return 200, {"kind": "StorageClassList", "apiVersion": version, "metadata": {}, "items": [
            {"kind": "StorageClass", "apiVersion": version, "provisioner": "x", **c} for c in classes]}
    if rest[:1] == ["namespaces"] and rest[2:] == ["secrets"]:
        # Releases: none yet.
        return 200, {"kind": "SecretList", "apiVersion": "v1", "metadata": {}, "items": []}
    if rest[:1] == ["namespaces"] and rest[2:3] == ["secrets"]:
        for secret in secrets:
            if secret["metadata"]["name"] == rest[3]:
                return 200, {"kind": "Secret", "apiVersion": "v1", "type": "Opaque", **secret}
    return missing
