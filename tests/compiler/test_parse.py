"""YAML to located models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argo_airflow.compiler.parse import Document, did_you_mean, is_argo, parse, path_name, read
from argo_airflow.errors import InvalidWorkflow
from argo_airflow.spec import Model, Workflow, number_text

HEAD = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: case-}\n"
CRAWLER = Path(__file__).parents[1] / "lint" / "page-crawler.yaml"


def one(body: str) -> Document:
    (document,) = parse(HEAD + body, "f.yaml")
    return document


def faults(text: str | bytes) -> list[tuple[str, str]]:
    """Place and code of each fault."""
    with pytest.raises(InvalidWorkflow) as caught:
        parse(text, "f.yaml")
    return [(f"{d.position.line}:{d.position.column}", d.code) for d in caught.value.diagnostics]


def test_model_has_argos_names() -> None:
    workflow = one(
        """
spec:
  entrypoint: main
  onExit: main
  serviceAccountName: robot
  imagePullSecrets: [{name: secret}]
  templates:
  - name: main
    retryStrategy: {limit: 3}
    inputs: {artifacts: [{name: a, path: /a, raw: {data: x}, optional: true, mode: 0644}]}
    script:
      image: busybox
      command: [sh]
      source: "true"
      workingDir: /tmp
      imagePullPolicy: Always
      resources: {limits: {cpu: 1}}
      envFrom: [{prefix: P_, secretRef: {name: s}}]
      env: [{name: A, valueFrom: {configMapKeyRef: {name: c, key: k}}}]
    outputs:
      artifacts: [{name: b, path: /b, archive: {tar: {compressionLevel: 0}}}]
"""
    ).workflow
    template = workflow.spec.templates[0]
    assert (workflow.api_version, workflow.metadata.generate_name) == ("argoproj.io/v1alpha1", "case-")
    assert (workflow.spec.on_exit, workflow.spec.service_account_name) == ("main", "robot")
    assert workflow.spec.image_pull_secrets[0].name == "secret"
    assert template.retry_strategy
    assert template.retry_strategy.limit == "3"
    assert template.script
    assert template.script.env_from[0].secret_ref
    assert (template.script.working_dir, template.script.resources) == ("/tmp", {"limits": {"cpu": 1}})
    assert template.inputs.artifacts[0].mode == 0o644
    archive = template.outputs.artifacts[0].archive
    assert archive
    assert archive.tar
    assert archive.tar.compression_level == 0


def test_steps_and_tasks() -> None:
    spec = one(
        """
spec:
  templates:
  - name: s
    steps:
    - [{name: a, template: t}, {name: b, template: t, withItems: [1, {k: v}]}]
    - - {name: c, inline: {container: {image: busybox}}, withSequence: {count: 3}}
  - name: d
    dag:
      tasks:
      - {name: a, template: t, when: "x == x"}
      - {name: b, template: t, depends: a, withParam: "[1]", arguments: {artifacts: [{name: f, from: "{{x}}"}]}}
"""
    ).workflow.spec
    steps, dag = spec.templates[0].steps, spec.templates[1].dag
    assert steps
    assert dag
    assert [[step.name for step in group] for group in steps] == [["a", "b"], ["c"]]
    assert steps[0][1].with_items == (1, {"k": "v"})
    assert steps[1][0].inline
    assert steps[1][0].with_sequence
    assert steps[1][0].with_sequence.count == "3"
    assert dag.tasks[1].arguments.artifacts[0].from_ == "{{x}}"
    paths = [path for path, _call in spec.templates[1].calls()]
    assert paths == [("dag", "tasks", 0), ("dag", "tasks", 1)]


# YAML as Argo's library types it, then Argo's AnyString (semantics.md §2.9)
@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("text", "text"),
        ("1", "1"),
        ("1.0", "1"),
        ("1e3", "1000"),
        ("1.5e-7", "0.00000015"),
        ("-0.25", "-0.25"),
        ("010", "8"),
        ("0x1F", "31"),
        ("1_000", "1000"),
        ("9007199254740993", "9007199254740992"),
        ("true", "true"),
        ("yes", "true"),
        ("off", "false"),
        ("2024-01-02", "2024-01-02"),
        ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"),
        ("12:30:45", "12:30:45"),
        ("=", "="),
        ("'1.0'", "1.0"),
        ("!!str 1.0", "1.0"),
        ("null", None),
        ("~", None),
        ("", None),
        ('""', ""),
        ("|\n        a\n        b", "a\nb\n"),
        ("1.2.3", "1.2.3"),
        (".5", "0.5"),
        (".nan", ".nan"),
    ],
)
def test_value_of_a_parameter(written: str, value: str | None) -> None:
    document = one(f"spec:\n  arguments:\n    parameters:\n    - name: x\n      value: {written}\n")
    assert document.workflow.spec.arguments.parameters[0].value == value


@pytest.mark.parametrize(("number", "text"), [(1e21, "1" + "0" * 21), (1e-7, "0.0000001"), (0, "0"), (-3, "-3")])
def test_number_text(number: float, text: str) -> None:
    assert number_text(number) == text


def test_items_stay_plain_values() -> None:
    document = one("spec:\n  templates:\n  - steps: [[{withItems: [1, 1.5, true, null, a, {b: [c]}]}]]\n")
    steps = document.workflow.spec.templates[0].steps
    assert steps
    assert steps[0][0].with_items == (1, 1.5, True, None, "a", {"b": ["c"]})


def test_positions() -> None:
    text = CRAWLER.read_text().replace("\\'", "'")
    (document,) = parse(text, "c.yaml")
    lines = text.splitlines()
    place = document.position(("spec", "templates", 0, "dag", "tasks", 3, "when"))
    assert lines[place.line - 1][place.column - 1 :].startswith("when:")
    place = document.position(("spec", "templates", 1))
    assert lines[place.line - 1][place.column - 1 :].startswith("name: json-getter")
    missing = ("spec", "templates", 1, "script", "nothing", 7, "here")
    assert document.position(missing) == document.position(("spec", "templates", 1, "script"))
    assert document.position(()).line == 1
    tag = "{{inputs.parameters.json_path}}"
    place = document.locate(("spec", "templates", 1, "script", "source"), tag)
    assert lines[place.line - 1][place.column - 1 :].startswith(tag)
    assert document.name(("spec", "templates", 0, "dag", "tasks", 3, "when")) == "templates.page-dag.tasks.loop-it.when"
    assert document.name(("spec", "templates", 4, "steps", 0, 0)) == "templates.main.steps[0].begin-recursion"


def test_anchors_and_merge_keys() -> None:
    document = one(
        """
x: &none {}
spec:
  templates:
  - &base
    name: a
    container: {image: one, args: &args [x]}
  - <<: *base
    name: b
  - <<: [{name: c}, *base]
    retryStrategy: {limit: 1}
""".replace("x: &none {}\n", "")
    )
    names = [(t.name, t.container.image if t.container else "") for t in document.workflow.spec.templates]
    assert names == [("a", "one"), ("b", "one"), ("c", "one")]
    merged = document.position(("spec", "templates", 1, "container", "image"))
    assert merged == document.position(("spec", "templates", 0, "container", "image"))


def test_documents_of_other_kinds_are_skipped() -> None:
    text = f"""kind: ConfigMap
apiVersion: v1
data: {{a: 1}}
---
{HEAD}spec: {{entrypoint: a}}
---
# nothing
---
just text
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
spec: {{whatever: 1}}
---
{HEAD}spec: {{entrypoint: b}}
"""
    assert [document.workflow.spec.entrypoint for document in parse(text, "f.yaml")] == ["a", "b"]


def test_a_workflow_without_api_version_is_one_as_in_argo() -> None:
    (document,) = parse("kind: Workflow\nspec: {entrypoint: a}\n", "f.yaml")
    assert document.workflow.api_version == "argoproj.io/v1alpha1"


def test_json_is_yaml() -> None:
    (document,) = parse('{"apiVersion": "argoproj.io/v1alpha1",\n "kind": "Workflow",\n "spec": {}}', "f.json")
    assert document.position(("kind",)).line == 2


def test_all_faults_of_all_documents_come_at_once() -> None:
    text = f"""{HEAD}spec:
  entrypont: a
  templates: [{{name: a, container: {{image: 1}}}}]
---
apiVersion: argoproj.io/v1alpha1
kind: CronWorkflow
---
{HEAD}spec:
  hooks: {{}}
  "bad \\q": 1
"""
    assert faults(text) == [
        ("5:3", "unknown-field"),
        ("6:37", "wrong-type"),
        ("9:1", "unsupported-feature"),
        ("15:3", "unsupported-feature"),
        ("16:3", "unknown-field"),
        ("16:8", "invalid-escape"),
    ]


def test_an_invalid_escape_moves_no_column() -> None:
    text = HEAD + 'spec: {"entrypoint": "\\\'\\\'", bogus: 1}\n'
    documents, found = read(text, "f.yaml")
    assert [(d.position.column, d.code) for d in found] == [
        (23, "invalid-escape"),
        (25, "invalid-escape"),
        (30, "unknown-field"),
    ]
    assert documents[0].workflow.spec.entrypoint == "''"


@pytest.mark.parametrize(
    ("text", "place", "part"),
    [
        ("a:\n\tb: 1\n", "2:1", "tab"),
        ("a: [1\n", "2:1", "bracket"),
        ("a: 'x\nb: 1\n", "1:4", "never closed"),
        ("a: b: c\n", "1:5", "quotes"),
        ("a: @x\n", "1:4", "quotes"),
        ("a: *x\n", "1:4", "anchor"),
        ("a: 1\n b: 2\n", "2:3", "indentation"),
        ("- a\nb: 1\n", "2:1", ""),
        ("a: &x [*x]\n", "1:4", "its own anchor"),
        ("a: \x01\n", "1:4", "remove the character"),
        ("a: {{x}}\n", "1:4", "must stand in quotes"),
        ("a: 1\na: 2\n", "2:1", "line 1"),
        ("a: !!int x\n", "1:4", "not of type int"),
        ("[" * 6000, "1:201", "nested deeper than 200"),
        ("- " * 6000 + "a", "1:401", "nested deeper than 200"),
        ("%YAML 9.9\n---\na: 1\n", "1:1", ""),
    ],
)
def test_broken_yaml_is_a_located_fault(text: str, place: str, part: str) -> None:
    with pytest.raises(InvalidWorkflow) as caught:
        parse(text, "f.yaml")
    (fault,) = caught.value.diagnostics
    assert f"{fault.position.line}:{fault.position.column}" == place
    assert fault.code in ("invalid-yaml", "duplicate-key")
    assert part in f"{fault.message} {fault.hint}"


def test_an_alias_bomb_is_refused_soon() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(InvalidWorkflow, match="aliases expand to more than"):
        parse("\n".join(lines), "f.yaml")


def test_bytes_that_are_no_text() -> None:
    assert faults(b"a: 1\nb: \xff\n") == [("2:4", "invalid-yaml")]


def test_a_byte_order_mark_is_no_fault() -> None:
    assert len(parse(b"\xef\xbb\xbf" + (HEAD + "spec: {}\n").encode(), "f.yaml")) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEAD, True),
        (HEAD.encode(), True),
        ("apiVersion: 'argoproj.io/v1alpha1'\nkind: CronWorkflow\n", True),
        ("apiVersion: argoproj.io/v1alpha1\nkind: Wrkflow\n", True),
        ('{"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow"}', True),
        ("a: 1\n---\n" + HEAD, True),
        ("kind: Workflow\nspec: {}\n", True),
        ("apiVersion: argoproj.io/v1alpha1\nkind: Rollout\n", False),
        ("apiVersion: argoproj.io/v1alpha1\nkind: Rollout\n---\nkind: ConfigMap\n", False),
        ("apiVersion: v1\nkind: ConfigMap\ndata:\n  a: argoproj.io/v1alpha1\n", False),
        ("apiVersion: other.io/v1\nkind: Workflow\n", False),
        ("", False),
        (b"\xff\xfe", False),
    ],
)
def test_is_argo(text: str | bytes, expected: bool) -> None:
    assert is_argo(text) is expected


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("entrypont", ["entrypoint", "templates"], "did you mean `entrypoint`?"),
        ("ENTRYPOINT", ["entrypoint"], "did you mean `entrypoint`?"),
        ("zzz", ["entrypoint"], ""),
        ("x", [], ""),
    ],
)
def test_did_you_mean(word: str, known: list[str], hint: str) -> None:
    assert did_you_mean(word, known) == hint


def test_path_name_of_what_has_no_name() -> None:
    assert (
        path_name({"spec": {"templates": [{}]}}, ("spec", "templates", 0, "steps", 1, 2)) == "templates[0].steps[1][2]"
    )


def _models(model: type[Model]) -> list[type[Model]]:
    return [model, *(one for child in model.__subclasses__() for one in _models(child))]


@pytest.mark.parametrize("model", _models(Model)[1:], ids=lambda model: model.__name__)
def test_no_field_is_both_known_and_unsupported(model: type[Model]) -> None:
    known = {field.alias or name for name, field in model.model_fields.items()}
    assert not known & model.unsupported


@given(st.text(st.sampled_from("{}[]:- \n\t\"'\\&*!|>#%@,?ab1~<y\ue000é"), max_size=40), st.integers(0, 2000))
@settings(max_examples=150, deadline=None)
def test_whatever_is_written_gives_documents_or_located_faults(noise: str, place: int) -> None:
    text = CRAWLER.read_text()
    documents, found = read(text[:place] + noise + text[place:], "f.yaml")
    assert all(fault.position.line >= 1 for fault in found)
    assert all(isinstance(document.workflow, Workflow) for document in documents)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3),
    max_leaves=10,
)


@given(plain, st.sampled_from([None, 2]))
@settings(deadline=None)
def test_any_json_is_read_back(value: Any, indent: int | None) -> None:
    body = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow"}
    body["spec"] = {"templates": [{"steps": [[{"withItems": [value]}]]}]}  # type: ignore[assignment]
    (document,) = parse(json.dumps(body, ensure_ascii=False, indent=indent), "f.json")
    assert document.data["spec"]["templates"][0]["steps"][0][0]["withItems"] == [value]
