"""Whether an object is what its kind's schema says."""
import functools
import importlib.resources
import json

import jsonschema
import referencing
import referencing.jsonschema

_well = set()


def problem(document, version):
    """What is wrong with it, or None. Kubernetes' own kinds by the schemas of a version, others by those of their operators."""
    key = (version, json.dumps(document, sort_keys=True))
    if key in _well:
        return None
    group = document["apiVersion"].split("/")[0]
    if group == "gateway.networking.k8s.io":
        found = _first(jsonschema.Draft202012Validator(GATEWAY.get(document["kind"], False)), document)
    elif "." in group and not group.endswith(".k8s.io"):
        found = _first(operators(document["apiVersion"], document["kind"]), document)
    else:
        found = _first(kubernetes(version, document["apiVersion"], document["kind"]), document)
    if not found:
        _well.add(key)
    return found


def _first(validator, document):
    error = next(validator.iter_errors(document), None)
    return error and f"{'.'.join(map(str, error.path))}: {error.message}"


@functools.lru_cache(maxsize=None)
def kubernetes(version, api, kind):
    """The strict schemas of kubernetes-validate, held: its own function reads megabytes anew for every object."""
    folder = importlib.resources.files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}.0-local-strict"
    name = "-".join([kind.lower(), *(part.split(".")[0] for part in api.split("/"))])
    file = folder / f"{name}.json"
    if not file.is_file():
        return jsonschema.Draft202012Validator({"not": {}, "description": f"Kubernetes {version} has no {kind} of {api}"})
    resource = referencing.Resource.from_contents(json.loads(file.read_text()), referencing.jsonschema.DRAFT202012)
    return jsonschema.Draft202012Validator(resource.contents, registry=resource @ _definitions(version))


@functools.lru_cache(maxsize=None)
def _definitions(version):
    folder = importlib.resources.files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}.0-local-strict"
    contents = json.loads((folder / "_definitions.json").read_text())
    return (referencing.Resource.from_contents(contents, referencing.jsonschema.DRAFT202012) @ referencing.Registry()).crawl()


@functools.lru_cache(maxsize=None)
def operators(version, kind):
    """The schemas of the resources of other people's operators, by the models that cloudcoil makes of their definitions."""
    # They are large: loaded by those who need them.
    if version == "keda.sh/v1alpha1":
        import cloudcoil.models.keda.v1alpha1 as models
    elif version == "cert-manager.io/v1":
        import cloudcoil.models.cert_manager.v1 as models
    elif version == "monitoring.coreos.com/v1":
        import cloudcoil.models.prometheus_operator.v1 as models
    else:
        return jsonschema.Draft202012Validator(False)
    schema = getattr(models, kind).model_json_schema(by_alias=True)
    definitions = schema.pop("$defs")
    # Of an object's metadata, what cloudcoil knows is more than a manifest may say.
    definitions["ObjectMeta"] = METADATA
    return jsonschema.Draft202012Validator(strict({**schema, "$defs": definitions}))


def strict(schema):
    """As the API server reads it: no key that is not there, and nothing that is null."""
    if isinstance(schema, list):
        return [strict(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    made = {k: strict(v) for k, v in schema.items() if k not in ("title", "default")}
    if isinstance(schema.get("properties"), dict):
        # A property may well be called title.
        made["properties"] = {k: strict(v) for k, v in schema["properties"].items()}
        made.setdefault("additionalProperties", False)
    if "anyOf" in made:
        made["anyOf"] = [s for s in made["anyOf"] if s != {"type": "null"}]
    return made


TEXT = {"type": "string", "minLength": 1}
NAMES = {"type": "object", "additionalProperties": {"type": "string"}}
METADATA = {"type": "object", "additionalProperties": False, "required": ["name"], "properties": {
    "name": TEXT, "namespace": TEXT, "labels": NAMES, "annotations": NAMES}}


def _object(required=(), **properties):
    return {"type": "object", "additionalProperties": False, "required": list(required), "properties": properties}


def _list(of, most=16, **more):
    return {"type": "array", "items": of, "maxItems": most, **more}


PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
HOST = {"type": "string", "pattern": r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", "maxLength": 253}
DURATION = {"type": "string", "pattern": r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"}
_reference = {"group": {"type": "string"}, "kind": TEXT, "name": TEXT, "namespace": TEXT}

# Written from the reference of Gateway API v1 (https://gateway-api.sigs.k8s.io/reference/spec/), with the fields that a chart may
# want and no others: no package has its definitions.
GATEWAY = {
    "Gateway": _object(
        ["apiVersion", "kind", "metadata", "spec"], apiVersion={"const": "gateway.networking.k8s.io/v1"}, kind={"const": "Gateway"},
        metadata=METADATA, spec=_object(
            ["gatewayClassName", "listeners"], gatewayClassName=TEXT, listeners=_list({
                **_object(
                    ["name", "port", "protocol"], name=TEXT, hostname=HOST, port=PORT,
                    protocol={"enum": ["HTTP", "HTTPS", "TLS", "TCP", "UDP"]},
                    tls=_object([], mode={"enum": ["Terminate", "Passthrough"]}, certificateRefs=_list(_object(["name"], **_reference), 64)),
                    allowedRoutes=_object([], namespaces=_object([], **{"from": {"enum": ["All", "Same", "Selector"]}, "selector": {}}))),
                # "If protocol is HTTPS or TLS, tls is required", and neither HTTP nor TCP nor UDP may have it.
                "if": {"properties": {"protocol": {"enum": ["HTTPS", "TLS"]}}}, "then": {"required": ["tls"]},
                "else": {"properties": {"tls": False}}}, 64, minItems=1))),
    "HTTPRoute": _object(
        ["apiVersion", "kind", "metadata", "spec"], apiVersion={"const": "gateway.networking.k8s.io/v1"}, kind={"const": "HTTPRoute"},
        metadata=METADATA, spec=_object(
            ["parentRefs"], parentRefs=_list(_object(["name"], sectionName=TEXT, port=PORT, **_reference), 32, minItems=1),
            hostnames=_list(HOST), rules=_list(_object(
                [], name=TEXT,
                matches=_list(_object([], path=_object([], type={"enum": ["Exact", "PathPrefix", "RegularExpression"]}, value={
                    "type": "string", "pattern": "^/", "maxLength": 1024})), 64),
                timeouts=_object([], request=DURATION, backendRequest=DURATION),
                backendRefs=_list(_object(["name", "port"], port=PORT, weight={"type": "integer", "minimum": 0, "maximum": 1000000}, **_reference)),
            ), minItems=1))),
}
