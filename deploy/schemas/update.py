#!/usr/bin/env python3
"""Makes the schemas that tests check compose and Kubernetes files against, from two packages of PyPI.

    deploy/schemas/update.py       (needs pip; the tests themselves need no network)

compose-spec.json is copied as it is. kubernetes.json is the part of Kubernetes' own API description that the kinds below
need: every definition that they refer to, unchanged but for what tells nothing about validity (descriptions).
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile

CHECK_JSONSCHEMA = "0.39.0"
KUBERNETES_VALIDATE = "1.37.0"
KUBERNETES = "1.34.0"
KINDS = [
    "io.k8s.api.apps.v1.Deployment",
    "io.k8s.api.apps.v1.StatefulSet",
    "io.k8s.api.batch.v1.Job",
    "io.k8s.api.core.v1.ConfigMap",
    "io.k8s.api.core.v1.Namespace",
    "io.k8s.api.core.v1.Secret",
    "io.k8s.api.core.v1.Service",
    "io.k8s.api.core.v1.ServiceAccount",
    "io.k8s.api.networking.v1.Ingress",
    "io.k8s.api.networking.v1.NetworkPolicy",
    "io.k8s.api.policy.v1.PodDisruptionBudget",
]
HERE = pathlib.Path(__file__).parent


def package(name, version, folder):
    """The opened wheel of a package."""
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, f"{name}=={version}"], check=True)
    (wheel,) = pathlib.Path(folder).glob(name.replace("-", "_") + "-*.whl")
    return zipfile.ZipFile(wheel)


def references(value):
    """Every name of a definition that `value` refers to."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner.rsplit("/", 1)[1]
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def bare(value, of_properties=False):
    """`value` without descriptions, and with references into this one file. A property may itself be called description."""
    if isinstance(value, dict):
        kept = {}
        for key, inner in value.items():
            if not of_properties and (key == "description" or key.startswith("x-")):
                continue
            if not of_properties and key == "$ref":
                inner = "#/$defs/" + inner.rsplit("/", 1)[1]
            kept[key] = bare(inner, of_properties=not of_properties and key == "properties")
        return kept
    if isinstance(value, list):
        return [bare(inner) for inner in value]
    return value


def kubernetes(wheel):
    every = json.loads(wheel.read(f"kubernetes_validate/kubernetes-json-schema/v{KUBERNETES}-local-strict/_definitions.json"))["$defs"]
    needed, open_names = {}, list(KINDS)
    while open_names:
        name = open_names.pop()
        if name not in needed:
            needed[name] = every[name]
            open_names += references(every[name])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": f"Kubernetes {KUBERNETES} (Apache-2.0), from kubernetes-validate {KUBERNETES_VALIDATE}; made by update.py: "
        "only the kinds that are used here, without descriptions, strict about unknown fields",
        "$defs": {name: bare(needed[name]) for name in sorted(needed)},
    }


with tempfile.TemporaryDirectory() as folder:
    compose = package("check-jsonschema", CHECK_JSONSCHEMA, folder).read("check_jsonschema/builtin_schemas/vendor/compose-spec.json")
    (HERE / "compose-spec.json").write_bytes(compose)
    schema = kubernetes(package("kubernetes-validate", KUBERNETES_VALIDATE, folder))
    # One definition a line: small, and a change of version shows as what it is.
    lines = ",\n".join(json.dumps(name) + ":" + json.dumps(value, separators=(",", ":")) for name, value in schema.pop("$defs").items())
    head = json.dumps(schema)[:-1]
    (HERE / "kubernetes.json").write_text(head + ', "$defs":{\n' + lines + "\n}}\n")
