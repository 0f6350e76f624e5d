"""Renders the chart and gives what came out by name."""
import concurrent.futures
import functools
import json
import os
import re
import shutil
import subprocess

import yaml

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
CHART = os.path.join(ROOT, "deploy", "helm", "voice-gateway")
EXAMPLES = sorted(os.listdir(os.path.join(CHART, "examples")))
RELEASE, NAMESPACE = "vg", "voice"
# The oldest cluster that the chart is for, and the newest that the schemas know.
OLDEST, NEWEST = "1.26", "1.37"
# A workload each; what belongs to none of them is of the stores, the migration or the tests.
ROLES = {"media": "mediaGateway", "speech": "speechGateway", "runtime": "runtime", "integration": "integration", "worker": "workers"}
PARLEY = os.environ.get("PARLEY", "")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def program(name, variable):
    """What the environment names, else what scripts/setup --test fetched, else what is in PATH."""
    cache = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
    fetched = os.path.join(os.environ.get("PARLEY_TEST_KUBE", os.path.join(cache, "parley", "kube")), name)
    return os.environ.get(variable) or (fetched if os.path.exists(fetched) else shutil.which(name))


HELM = program("helm", "HELM")
HELM3 = program("helm3", "HELM3")
KUBECTL = program("kubectl", "KUBECTL")
HELMS = {"helm 4": HELM, "helm 3": HELM3}


def run(*command, given=None, environment=None):
    # No cluster is asked, whatever the machine knows of one.
    clean = {**os.environ, "KUBECONFIG": "/no/cluster", **(environment or {})}
    return subprocess.run(command, input=given, capture_output=True, text=True, env=clean)


def merged(*trees):
    """Mappings laid over each other; the last wins."""
    made = {}
    for tree in trees:
        for key, value in tree.items():
            both = isinstance(value, dict) and isinstance(made.get(key), dict)
            made[key] = merged(made[key], value) if both else value
    return made


def at(tree, path):
    for key in path.split("."):
        tree = tree[key]
    return tree


def nested(path, value):
    """{"a": {"b": value}} of "a.b"."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


def values(file):
    with open(file) as text:
        return yaml.load(text, LOADER)


DEFAULTS = values(os.path.join(CHART, "values.yaml"))


@functools.lru_cache(maxsize=None)
def _template(helm, release, version, text, files, options):
    command = [helm, "template", release, CHART, "--namespace", NAMESPACE, "--kube-version", version + ".0"]
    for file in files:
        command += ["--values", file]
    return run(*command, "--values", "-", *options, given=text)


def attempt(given=None, *, files=(), options=(), helm=None, release=RELEASE, version=NEWEST):
    """Rendering, which may fail; `given` is laid over `files`. The same question is asked once."""
    return _template(helm or HELM, release, version, json.dumps(given or {}), tuple(files), tuple(options))


def render(given=None, **how):
    done = attempt(given, **how)
    assert done.returncode == 0, done.stderr
    return Release(done.stdout, merged(DEFAULTS, *(values(f) for f in how.get("files", ())), given or {}))


def install(given=None, *, files=(), release=RELEASE, kubeconfig=None):
    """What Helm would do and say in a cluster; without one, in a cluster that has every kind."""
    command = [HELM, "install", release, CHART, "--namespace", NAMESPACE, "--values", "-"]
    for file in files:
        command[-2:-2] = ["--values", file]
    if kubeconfig is None:
        return run(*command, "--dry-run=client", given=json.dumps(given or {}))
    command += ["--dry-run=server", "--disable-openapi-validation"]
    return run(*command, given=json.dumps(given or {}), environment={"KUBECONFIG": kubeconfig})


def installed(done, given=None):
    """(what would be installed, the notes)"""
    assert done.returncode == 0, done.stderr
    hooks, _, rest = done.stdout.partition("\nMANIFEST:\n")
    manifest, _, notes = rest.partition("\nNOTES:\n")
    hooks = hooks.partition("\nHOOKS:\n")[2]
    return Release(hooks + "\n" + manifest, given), notes


def ahead(calls):
    """Renders many, two at a time, so that what follows finds them there."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda how: attempt(**how), calls))


class Release:
    def __init__(self, text, given=None):
        self.text = text
        self.values = given or DEFAULTS
        self.documents = [d for d in yaml.load_all(text, LOADER) if d]

    def kinds(self, *kinds):
        return [d for d in self.documents if d["kind"] in kinds]

    def names(self, *kinds):
        return {d["metadata"]["name"] for d in self.kinds(*kinds)}

    def one(self, kind, end=""):
        """The object of a kind whose name ends so."""
        found = [d for d in self.kinds(kind) if d["metadata"]["name"].endswith(end)]
        assert len(found) == 1, f"{len(found)} of {kind} *{end}: {[d['metadata']['name'] for d in found]}"
        return found[0]

    def workload(self, role):
        found = [d for d, labels, _ in self.pods() if labels.get("app.kubernetes.io/component") == role]
        assert len(found) == 1, f"{len(found)} workloads are {role}"
        return found[0]

    def pod(self, role):
        return self.workload(role)["spec"]["template"]["spec"]

    def container(self, role):
        return self.pod(role)["containers"][0]

    def pods(self):
        """(object, labels of its pods, their spec) of all that makes pods."""
        for d in self.documents:
            if d["kind"] == "Pod":
                yield d, d["metadata"].get("labels", {}), d["spec"]
            elif "containers" in d.get("spec", {}).get("template", {}).get("spec", {}):
                template = d["spec"]["template"]
                yield d, template["metadata"]["labels"], template["spec"]

    def files(self):
        """The configuration files by role, as text."""
        return {k[: -len(".yaml")]: v for d in self.kinds("ConfigMap") if "media.yaml" in d["data"] for k, v in d["data"].items()}

    def config(self, role):
        return yaml.load(self.files()[role], LOADER)

    def dialogs(self):
        return {k: v for d in self.kinds("ConfigMap") if d["metadata"]["name"].endswith("-dialogs") for k, v in d["data"].items()}


def mounted_keys(pod):
    """{name of a Secret: keys that the pod sees}; None for all of its keys."""
    made = {}
    for volume in pod.get("volumes", []):
        sources = volume.get("projected", {}).get("sources", [])
        secrets = [s["secret"] for s in sources if "secret" in s]
        if "secret" in volume:
            secrets.append({"name": volume["secret"]["secretName"], **volume["secret"]})
        for secret in secrets:
            keys = {item["key"] for item in secret["items"]} if "items" in secret else None
            made[secret["name"]] = None if keys is None else made.get(secret["name"], set()) | keys
    return made


def seconds(text):
    return int(re.fullmatch(r"(\d+)s", text)[1])


def option(command, name):
    """The word after an option of a command line."""
    return command[command.index(name) + 1] if name in command else None
