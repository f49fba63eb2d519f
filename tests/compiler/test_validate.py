"""Rules of validation: what is accepted, and each fault alone (Argo's catalogue: semantics.md §3).

The golden pairs in tests/lint hold many faults a file; here one change to a valid workflow makes exactly one.
"""

from __future__ import annotations

import pytest

from argo_airflow.compiler.validate import RULES, check, validate
from argo_airflow.errors import Diagnostic

VALID = """apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata:
  generateName: all-
  labels: {team: data}
spec:
  entrypoint: main
  onExit: cleanup
  arguments:
    parameters:
    - {name: page, value: "1"}
    - {name: asked}
    artifacts:
    - {name: seed, raw: {data: x}}
  templates:
  - name: main
    inputs:
      parameters: [{name: page}, {name: size, default: "{{workflow.parameters.page}}"}]
      artifacts: [{name: seed}]
    steps:
    - - name: one
        template: leaf
        arguments:
          parameters: [{name: x, value: "{{inputs.parameters.page}} {{workflow.labels.team}} {{steps.name}}"}]
          artifacts: [{name: in, from: "{{inputs.artifacts.seed}}"}]
    - - name: two
        template: graph
        when: "{{steps.one.outputs.result}} == ok && {{steps.one.exitCode}} == 0"
        arguments:
          artifacts: [{name: file, from: "{{steps.one.outputs.artifacts.out}}"}]
      - name: three
        template: leaf
        withParam: "{{steps.one.outputs.parameters.list}}"
        arguments:
          parameters: [{name: x, value: "{{item.name}} {{item}}"}]
    - - name: four
        inline:
          inputs: {parameters: [{name: all}]}
          container: {image: busybox, command: [echo], args: ["{{inputs.parameters.all}}"]}
        arguments:
          parameters: [{name: all, value: "{{steps.three.outputs.parameters.list}} {{steps.three.outputs.parameters}}"}]
    outputs:
      parameters: [{name: end, valueFrom: {parameter: "{{steps.two.outputs.parameters.sum}}", default: none}}]
  - name: graph
    inputs: {artifacts: [{name: file}]}
    dag:
      tasks:
      - {name: a, template: leaf, arguments: {parameters: [{name: x, value: a}]}}
      - name: b
        template: leaf
        depends: a.Succeeded || a.Failed
        arguments: {parameters: [{name: x, value: "{{tasks.a.status}}"}]}
      - name: c
        template: leaf
        depends: b
        withSequence: {count: "{{tasks.a.outputs.result}}"}
        arguments:
          parameters: [{name: x, value: "{{tasks.a.outputs.result}}-{{item}}"}]
          artifacts: [{name: in, from: tasks.a.outputs.artifacts.out}]
      - name: d
        template: leaf
        depends: c.AnySucceeded && b
        withItems: ["{{tasks.b.outputs.result}}", {name: x}]
        arguments: {parameters: [{name: x, value: "{{item}}"}]}
    outputs:
      parameters: [{name: sum, valueFrom: {parameter: "{{tasks.a.outputs.parameters.list}}"}}]
      artifacts: [{name: out, from: "{{tasks.b.outputs.artifacts.out}}"}]
  - name: leaf
    retryStrategy: {limit: "2"}
    inputs:
      parameters: [{name: x}]
      artifacts: [{name: in, path: /in, optional: true}]
    script:
      image: "busybox:{{workflow.parameters.page}}"
      command: [sh]
      env: [{name: WHO, value: "{{pod.name}} {{node.name}}"}]
      source: |
        cat {{inputs.artifacts.in.path}} > {{outputs.artifacts.out.path}}; echo {{ inputs.parameters.x }}
        date -d {{workflow.creationTimestamp}} > {{outputs.parameters.list.path}}
    outputs:
      parameters: [{name: list, valueFrom: {path: /list, default: "[]"}}]
      artifacts: [{name: out, path: /out, archive: {none: {}}}]
  - name: cleanup
    container: {image: busybox, command: [echo], args: ["{{workflow.status}} {{workflow.failures}}"]}
"""


def faults(text: str) -> list[Diagnostic]:
    """All faults of the file."""
    return check(text, "f.yaml")[1]


def test_all_that_the_language_offers_is_accepted() -> None:
    documents, found = check(VALID, "f.yaml")
    assert found == []
    assert validate(documents[0]) == []


# (what is replaced, by what, the one code, a part of the message or hint)
CHANGES = [
    ("entrypoint: main", "entrypoint: mein", "undefined-template", "did you mean `main`?"),
    ("onExit: cleanup", "onExit: clean", "undefined-template", "did you mean `cleanup`?"),
    ("template: graph", "template: grph", "undefined-template", "template name 'grph' undefined"),
    ("generateName: all-", "generateName: All_", "invalid-name", "generateName 'All_' is invalid"),
    ("name: four", "name: fo_ur", "invalid-name", "name 'fo_ur' is invalid"),
    ("- name: four", "- name: two", "duplicate-name", "name 'two' is not unique"),
    ("{name: asked}", "{name: page}", "duplicate-name", "name 'page' is not unique"),
    ("{name: x, value: a}", "{name: z, value: a}", "missing-argument", "passed: z"),
    ("artifacts: [{name: file, from:", "artifacts: [{name: fil, from:", "missing-argument", "artifacts.file was not"),
    ("depends: b\n", "depends: z\n", "undefined-dependency", "dependency 'z' not defined"),
    ("depends: b\n", "depends: b.Gone\n", "invalid-depends", "task result 'Gone' for task 'b' is invalid"),
    ("c.AnySucceeded && b", "c && b.AnySucceeded", "invalid-depends", "task 'b' has no items"),
    ("== ok &&", "= ok &&", "invalid-when", "Invalid token: '='"),
    ("withSequence: {count:", "withSequence: {end: 3, count:", "invalid-loop", "only one of count or end"),
    ("withItems: [", "withParam: '[]'\n        withItems: [", "invalid-loop", "only one of withItems, withParam"),
    ("inputs.parameters.page}} {{workflow", "inputs.parameters.pag}} {{workflow", "unresolved-reference", "`page`?"),
    ("workflow.labels.team", "workflow.labels.taem", "unresolved-reference", "did you mean `workflow.labels.team`?"),
    ("{{steps.name}}", "{{initial}}", "unknown-variable", "{{workflow.parameters.initial}}"),
    ("{{steps.name}}", "{{item}}", "unresolved-reference", "needs withItems, withParam or withSequence"),
    ("{{steps.name}}", "{{steps.two.status}}", "unresolved-reference", "does not run in an earlier group"),
    ("{{steps.name}}", "{{pod.name}}", "unresolved-reference", "failed to resolve {{pod.name}}"),
    ("{{steps.name}}", "{{=1 + 1}}", "unsupported-feature", "expression tags"),
    ("{{steps.name}}", "{{workflow.outputs.parameters.x}}", "unsupported-feature", "workflow.outputs.parameters.x"),
    ('withParam: "{{steps.one', 'withParam: "{{item}}{{steps.one', "unresolved-reference", "{{item}}"),
    ("one.outputs.result}} ==", "one.outputs.results}} ==", "unresolved-reference", "did you mean `outputs.result`?"),
    ("steps.one.outputs.parameters.list", "steps.one.outputs.parameters.lst", "unresolved-reference", "`list`?"),
    ("steps.one.outputs.artifacts.out", "steps.one.outputs.artifacts.x", "unresolved-reference", "did you mean `out`?"),
    ("from: tasks.a.outputs.artifacts.out", "from: tasks.a.outputs.result", "unresolved-reference", "not an artifact"),
    ("{{tasks.b.outputs.artifacts.out}}", "{{tasks.c.outputs.artifacts.out}}", "unresolved-reference", "of a loop"),
    ("depends: b\n", "depends: d\n", "dependency-cycle", "c->d->c"),
    ("{{steps.two.outputs.parameters.sum}}", "{{steps.two.outputs.result}}", "unresolved-reference", "is neither"),
    ("{{tasks.a.status}}", "{{tasks.b.status}}", "unresolved-reference", "cannot use its own outputs"),
    ("{{tasks.a.status}}", "{{tasks.c.status}}", "unresolved-reference", "is not an ancestor of `b`"),
    ("{{tasks.a.status}}", "{{steps.a.status}}", "unresolved-reference", "write tasks.a"),
    ("{{tasks.a.status}}", "{{tasks.a.ip}}", "unsupported-feature", "daemons"),
    ('limit: "2"', "limit: -1", "invalid-value", "must be a whole number, not '-1'"),
    ("path: /in,", "path: /a/../in,", "invalid-value", "must not hold `..`"),
    ("archive: {none: {}}", "mode: 512", "invalid-value", "mode must be between 0 and 0777"),
    ("valueFrom: {path: /list, default", "valueFrom: {parameter: /list, default", "missing-field", "valueFrom.path"),
    ("{name: asked}", "{name: asked, value: z, enum: [a, b]}", "invalid-value", "one of: a, b"),
    (
        "inputs: {artifacts: [{name: file}]}",
        "inputs: {artifacts: [{name: file, path: /f}]}",
        "invalid-value",
        "`path` is",
    ),
    ('image: "busybox:{{workflow.parameters.page}}"', "image: ''", "missing-field", "script.image may not be empty"),
    ("{{pod.name}} {{node.name}}", "{{retries}}", "unsupported-feature", "{{retries}}"),
    ("{{pod.name}} {{node.name}}", "{{steps.one.status}}", "unresolved-reference", "pass them as an argument"),
    ("{{pod.name}} {{node.name}}", "{{inputs.parameters.xx}}", "unresolved-reference", "did you mean `x`?"),
    ("{{pod.name}} {{node.name}}", "{{workflow.status}}", "unsupported-feature", "outside the exit handler"),
    ("{{pod.name}} {{node.name}}", "{{workflow.failures}}", "unresolved-reference", "only known in the exit handler"),
    ("{{pod.name}} {{node.name}}", "{{custom.tag}}", "unknown-variable", "unknown variable {{custom.tag}}"),
]


@pytest.mark.parametrize(("old", "new", "code", "part"), CHANGES, ids=[f"{c[2]}: {c[1][:40]}" for c in CHANGES])
def test_one_change_makes_one_fault(old: str, new: str, code: str, part: str) -> None:
    assert VALID.count(old) >= 1, "the change does not apply"
    text = VALID.replace(old, new, 1)
    found = faults(text)
    assert [fault.code for fault in found] == [code], found
    assert part in f"{found[0].message} {found[0].hint}"
    line = text.splitlines()[found[0].position.line - 1]
    assert found[0].position.column <= len(line)


def test_an_unknown_tag_is_only_a_warning_where_argo_hands_it_to_the_container() -> None:
    (fault,) = faults(VALID.replace("{{pod.name}} {{node.name}}", "{{custom.tag}}"))
    assert fault.severity == "warning"
    (fault,) = faults(VALID.replace("{{steps.name}}", "{{custom.tag}}"))
    assert fault.severity == "error"


def test_one_wrong_name_is_reported_wherever_it_is_used() -> None:
    found = faults(VALID.replace("- {name: a, template: leaf,", "- {name: start, template: leaf,"))
    undefined = [fault for fault in found if fault.code == "undefined-dependency"]
    unresolved = [fault for fault in found if fault.code == "unresolved-reference"]
    assert len(undefined) == 1
    assert len(unresolved) == 5


def test_a_fault_of_parse_does_not_hide_those_of_validation() -> None:
    text = VALID.replace("onExit: cleanup", "onExit: clean\n  hooks: {}").replace("/list,", '"/\\q",')
    assert {fault.code for fault in faults(text)} == {"undefined-template", "unsupported-feature", "invalid-escape"}


def test_an_unsupported_template_is_reported_once() -> None:
    text = VALID[: VALID.rindex("container:")] + "suspend: {}\n"
    found = [fault for fault in faults(text) if fault.path.startswith("templates.cleanup")]
    assert [(fault.code, fault.message) for fault in found] == [
        ("unsupported-feature", "`suspend` is not supported yet")
    ]


def test_long_chains_are_no_cycle_and_need_no_deep_stack() -> None:
    head = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: a-}\nspec:\n  entrypoint: main\n"
    tasks = [f"      - {{name: t{n}, template: leaf, dependencies: [t{n + 1}]}}\n" for n in range(5000)] + [
        "      - {name: t5000, template: leaf}\n"
    ]
    head += "  templates:\n  - {name: leaf, container: {image: busybox}}\n  - name: main\n    dag:\n      tasks:\n"
    assert faults(head + "".join(tasks)) == []
    tasks[-1] = "      - {name: t5000, template: leaf, dependencies: [t0]}\n"
    assert [fault.code for fault in faults(head + "".join(tasks))] == ["dependency-cycle"]


def test_several_workflows_in_a_file() -> None:
    text = VALID.replace("onExit: cleanup", "onExit: clean") + "---\n" + VALID.replace("template: graph", "template: x")
    found = faults(text)
    assert [fault.code for fault in found] == ["undefined-template"] * 2
    assert found[1].position.line > VALID.count("\n")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.__module__.rpartition('.')[2]}.{rule.__name__}")
def test_every_rule_says_what_it_holds(rule: object) -> None:
    assert (rule.__doc__ or "").endswith(".")


def test_an_item_is_not_known_where_the_items_come_from() -> None:
    (fault,) = faults(VALID.replace('withItems: ["{{tasks.b.outputs.result}}"', 'withItems: ["{{item}}"'))
    assert (fault.code, fault.message) == ("unresolved-reference", "failed to resolve {{item}}")


def test_a_list_under_with_param_is_told_where_to_go() -> None:
    (fault,) = faults(VALID.replace('withParam: "{{steps.one.outputs.parameters.list}}"', "withParam: [a, b]"))
    assert (fault.code, "goes under withItems" in fault.hint) == ("wrong-type", True)


def test_empty_dependencies_beside_depends_are_no_mixture() -> None:
    text = VALID.replace("- {name: a, template: leaf, arg", "- {name: a, template: leaf, dependencies: [], arg")
    assert text != VALID
    assert faults(text) == []
