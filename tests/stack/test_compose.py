"""The compose file against the Compose Specification's schema; no image can be pulled here, so it is not run.

``compose_spec.json`` is the schema as shipped with Docker Compose 1.29.2 (Apache-2.0, docker/compose).
"""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from argo_airflow.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
SERVICES = {"postgres", "s3", "volumes-init", "init", "api-server", "scheduler", "triggerer", "dag-processor"}
AIRFLOW = {"init", "api-server", "scheduler", "triggerer", "dag-processor"}


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((ROOT / "docker-compose.yaml").read_text())


@pytest.fixture(scope="module")
def schema():
    return json.loads(Path(__file__).with_name("compose_spec.json").read_text())


def test_follows_the_specification(compose, schema):
    errors = jsonschema.Draft7Validator(schema).iter_errors(compose)
    assert [f"{list(error.path)}: {error.message}" for error in errors] == []


def test_the_schema_does_refuse(compose, schema):
    broken = {**compose, "services": {**compose["services"], "s3": {"image": "x", "comand": []}}}
    with pytest.raises(jsonschema.ValidationError, match="comand"):
        jsonschema.Draft7Validator(schema).validate(broken)


def test_has_every_part(compose):
    assert set(compose["services"]) == SERVICES
    for name in AIRFLOW - {"init"}:
        assert compose["services"][name]["command"] == [name]


def test_names_only_what_is_declared(compose):
    for name, service in compose["services"].items():
        assert set(service.get("depends_on", {})) <= SERVICES, name
        named = {volume.split(":")[0] for volume in service.get("volumes", []) if volume[0].isalpha()}
        assert named <= set(compose["volumes"]), name


def test_no_secret_has_a_default():
    text = (ROOT / "docker-compose.yaml").read_text()
    for name in ("POSTGRES_PASSWORD", "FERNET_KEY", "JWT_SECRET", "API_SECRET_KEY", "S3_ACCESS_KEY", "S3_SECRET_KEY"):
        uses = re.findall(rf"\$\{{{name}([^}}]*)\}}", text)
        assert uses
        assert all(use.startswith(":?") for use in uses), name


def test_sets_only_options_that_exist(compose):
    environment = compose["services"]["scheduler"]["environment"]
    ours = {name.removeprefix("AIRFLOW__ARGO__").lower() for name in environment if name.startswith("AIRFLOW__ARGO__")}
    assert ours
    assert ours <= set(Settings.__dataclass_fields__)


def test_builds_what_the_dockerfile_has(compose):
    stages = re.findall(r"^FROM .* AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.M)
    assert set(stages) == {"wheel", "helper", "airflow"}
    assert {service["build"]["target"] for service in compose["services"].values() if "build" in service} == {"airflow"}
