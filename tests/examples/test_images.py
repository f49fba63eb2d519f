"""What stands for the images of the examples, run directly: no Airflow, no pods."""

from __future__ import annotations

import csv
import json
import os
import re
import uuid
from datetime import datetime
from pathlib import Path

import pytest
import yaml
from image_index import DAGS, INDEX, entry, host_path, run

COPY = "quay.io/peachjar/timescaledb-parallel-copy:build-29"
POSTGRES = "postgres:10"
PLAIN = {"alpine:latest"}  # sh, echo, sleep: every host has them


def images() -> set[str]:
    """Every image that an example names."""
    found = set()
    for path in DAGS.glob("*.yaml"):
        found |= set(re.findall(r"^\s+image:\s*(\S+)", path.read_text(), re.MULTILINE))
    return found


def test_every_image_of_the_examples_is_plain_or_in_the_index():
    used = images()
    assert {"example-image:latest", "python:alpine3.6", "node:10", COPY} <= used
    assert {image for image in used if entry(image) is None} <= PLAIN


def test_no_entry_of_the_index_is_useless():
    used = images()
    assert [pattern for pattern in INDEX if not any(entry(image) is INDEX[pattern] for image in used)] == []


@pytest.mark.parametrize("pattern", INDEX)
def test_what_the_index_names_exists(pattern):
    image = INDEX[pattern]
    for outside in image.get("mounts", {}).values():
        assert (DAGS / outside).is_dir()
    for folder in image.get("path", []):
        if folder != "{venv}":
            programs = list(Path(host_path(image, folder)).iterdir())
            assert programs, folder
            assert all(os.access(program, os.X_OK) for program in programs)
    for word in image.get("entrypoint", []):
        if word.startswith("/"):
            assert Path(host_path(image, word)).is_file()
    assert set(image) <= {"root", "entrypoint", "cmd", "env", "path", "workdir", "mounts"}


def test_airflow_is_told_to_leave_the_images_alone():
    from airflow._shared.module_loading.file_discovery import find_path_from_directory

    listed = {Path(path).relative_to(DAGS).as_posix() for path in find_path_from_directory(DAGS, ".airflowignore")}
    assert "page-crawler.yaml" in listed
    assert not [path for path in listed if path.startswith("images")]


# --- the extract/transform example -----------------------------------------------------------------------------------


def test_extract_then_transform(tmp_path):
    for table in ("views", "payments"):
        out = ["--results", f"{tmp_path}/{table}.csv", "--manifest-location", f"{tmp_path}/{table}.location"]
        assert run("extractor:v3", table, *out).returncode == 0
    assert (tmp_path / "payments.location").read_text() == "warehouse/payments/manifest.json\n"
    out = ["--results", f"{tmp_path}/results.csv", "--summary", f"{tmp_path}/summary.json"]
    manifest = ["--manifest", "warehouse/payments/manifest.json"]
    done = run("transformer:v1", *manifest, f"{tmp_path}/views.csv", f"{tmp_path}/payments.csv", *out)
    assert done.returncode == 0, done.stderr
    # by hand from extract.py's rows: ann 3 views and 1250+50, bob 1 and 300, cy 1 and nothing
    assert (tmp_path / "results.csv").read_text() == "customer,views,cents\nann,3,1300\nbob,1,300\ncy,1,0\n"
    assert json.loads((tmp_path / "summary.json").read_text()) == {
        "customers": 3,
        "views": 5,
        "cents": 1600,
        "manifest": "warehouse/payments/manifest.json",
    }


def test_an_unknown_table_is_refused_by_name():
    done = run("extractor:v3", "clicks")
    assert done.returncode == 2
    assert "clicks" in done.stderr
    assert "Traceback" not in done.stderr


# --- whale and node --------------------------------------------------------------------------------------------------


def test_the_whale_says_it():
    lines = run("docker/whalesay:latest", "hello", "world", command=["cowsay"]).stdout.splitlines()
    assert lines[:3] == [" _____________", "< hello world >", " -------------"]
    assert len(lines) > 10


def test_the_whale_wraps_long_words_and_takes_options_for_text():
    out = run("docker/whalesay:latest", "-n " + "a" * 60, command=["cowsay"]).stdout
    assert out.count("a") == 60
    assert "-n" in out


def test_node_makes_the_table_name(tmp_path):
    script = next(
        template["script"]["source"]
        for template in yaml.safe_load((DAGS / "click-csv-to-pg.yaml").read_text())["spec"]["templates"]
        if template["name"] == "generate-tablename"
    )
    (tmp_path / "script").write_text(script.replace("{{workflow.creationTimestamp}}", "2018-12-20T10:11:12Z"))
    done = run("node:10", str(tmp_path / "script"), command=["node"])
    assert done.returncode == 0, done.stderr
    assert done.stdout == "clicks_20181220101112000z\n"


# --- clicks: CSV, psql, parallel copy --------------------------------------------------------------------------------


def analytics(path: Path, *options: str) -> list[dict[str, str]]:
    done = run("peachjar/blinded-by-data-science", str(path), *options)
    assert done.returncode == 0, done.stderr
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_analysis_writes_the_columns_that_the_table_has(tmp_path):
    rows = analytics(tmp_path / "clicks.csv")
    assert list(rows[0]) == ["campaign_id", "num_clicks", "start_time", "end_time"]
    assert len(rows) == 200
    for row in rows:
        uuid.UUID(row["campaign_id"])
        assert int(row["num_clicks"]) >= 0
        assert row["end_time"] == "" or datetime.fromisoformat(row["start_time"]) < datetime.fromisoformat(
            row["end_time"]
        )
    assert any(row["end_time"] == "" for row in rows)  # so that the import's NULL '' is put to the test


def test_the_analysis_differs_from_run_to_run_unless_seeded(tmp_path):
    assert analytics(tmp_path / "a.csv") != analytics(tmp_path / "b.csv")
    assert analytics(tmp_path / "c.csv", "--seed", "1") == analytics(tmp_path / "d.csv", "--seed", "1")


def test_the_analysis_without_arguments_says_what_it_needs():
    done = run("peachjar/blinded-by-data-science")
    assert done.returncode == 2
    assert "output" in done.stderr


@pytest.fixture
def table(database):
    """A fresh table like the workflow's; its name."""
    name = f"clicks_{uuid.uuid4().hex}"
    database.sql(
        f"create table {name} (campaign_id uuid, num_clicks integer not null,"
        " start_time timestamp with time zone, end_time timestamp with time zone)"
    )
    return name


def copy(database, table, file, /, **changes):
    connection = f"host={database.host} user={database.user} sslmode=require password={database.password}"
    options = {
        "db-name": "metrics",
        "table": table,
        "connection": f"{connection} port={database.port}",
        "reporting-period": "2s",
        "columns": "campaign_id,num_clicks,start_time,end_time",
        "copy-options": "CSV NULL ''",
        "workers": "4",
        "file": str(file),
        **changes,
    }
    return run(COPY, *[word for name, value in options.items() for word in (f"--{name}", value)])


def headless(path: Path) -> Path:
    body = path.with_suffix(".body")
    body.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    return body


@pytest.mark.parametrize("workers", ["1", "4", "7"])
def test_parallel_copy_loads_every_row_once(database, table, tmp_path, workers):
    rows = analytics(tmp_path / "clicks.csv")
    done = copy(database, table, headless(tmp_path / "clicks.csv"), workers=workers)
    assert done.returncode == 0, done.stderr
    assert "COPY 200" in done.stdout
    loaded = database.sql(f"select campaign_id, num_clicks, end_time is null from {table}")
    wanted = [[row["campaign_id"], row["num_clicks"], "tf"[row["end_time"] != ""]] for row in rows]
    assert sorted(loaded) == sorted(wanted)


def test_parallel_copy_of_nothing_loads_nothing(database, table, tmp_path):
    (tmp_path / "empty").touch()
    assert copy(database, table, tmp_path / "empty").returncode == 0
    assert database.sql(f"select count(*) from {table}") == [["0"]]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"table": "no_such_table"}, "no_such_table"),
        ({"table": "a;drop table b"}, "not a plain name"),
        ({"columns": "campaign_id,nothing"}, "nothing"),
        ({"file": "/no/such/file"}, "/no/such/file"),
        ({"workers": "0"}, "--workers"),
        ({"connection": "host=127.0.0.1 port=1 user=x"}, "onnection"),
    ],
)
def test_parallel_copy_fails_with_a_plain_message(database, table, tmp_path, changes, says):
    analytics(tmp_path / "clicks.csv")
    done = copy(database, table, headless(tmp_path / "clicks.csv"), **changes)
    assert done.returncode != 0
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_parallel_copy_of_a_bad_row_fails(database, table, tmp_path):
    (tmp_path / "bad").write_text("not-a-uuid,1,,\n")
    done = copy(database, table, tmp_path / "bad")
    assert done.returncode == 1
    assert "not-a-uuid" in done.stderr


def test_psql_runs_the_workflows_sql(database):
    script = (
        "PGPASSWORD=$DB_PASSWORD psql -h $DB_HOST -U $DB_USER -d metrics -p $DB_PORT -At <<EOSQL\nselect 6*7;\nEOSQL"
    )
    done = run(POSTGRES, script, command=["sh", "-c"], env=database.secret())
    assert done.returncode == 0, done.stderr
    assert done.stdout == "42\n"


def test_psql_is_the_environments_own_where_it_has_one(database):
    ours = run(POSTGRES, "--version").stdout
    assert ours.split()[2].split(".")[0] == database.sql("show server_version")[0][0].split(".")[0]


@pytest.mark.parametrize(("image", "program"), [(POSTGRES, "psql"), ("node:10", "node")])
def test_a_missing_program_is_named_with_the_remedy(image, program, tmp_path):
    (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
    shim = host_path(entry(image), f"/{image.split(':')[0]}/bin/{program}")
    done = run("alpine:latest", shim, command=["/bin/sh"], env={"PATH": f"{Path(shim).parent}:{tmp_path}"})
    assert done.returncode == 127
    assert f"{program}: not found" in done.stderr
    assert "install" in done.stderr
