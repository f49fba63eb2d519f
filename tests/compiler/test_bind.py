"""What a text means inside the template where it stands."""

from __future__ import annotations

import pytest

from argo_airflow.compiler.bind import Frame, Placed, loop_of, needs_phase, with_default
from argo_airflow.graph import ArtifactBinding, Binding, Loop, Ref, Text
from argo_airflow.spec import Arguments, Template, WorkflowStep


def template(**fields) -> Template:
    return Template.model_validate({"name": "t", **fields})


OUT = "outputs.parameters"
MAKER = Placed(leaves=("a",), phase="a", defaults={"o": "dflt"})


def frame() -> Frame:
    found = Frame(template(steps=[]), {"x": ("given",), "r": (Ref("node", "up", "outputs.result"),)}, {})
    found.placed |= {"a": MAKER, "l": Placed(leaves=("l",), phase="l", looped=True)}
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", ("plain",)),
        ("", ()),
        ("<{{inputs.parameters.x}}>", ("<given>",)),
        ("{{ inputs.parameters.r }}!", (Ref("node", "up", "outputs.result"), "!")),
        ("{{steps.a.outputs.result}}", (Ref("node", "a", "outputs.result", "steps.a.outputs.result"),)),
        ("{{tasks.a.status}}", (Ref("node", "a", "status", "tasks.a.status"),)),
        ("{{tasks.a.outputs.parameters.o}}", (Ref("node", "a", f"{OUT}.o", f"tasks.a.{OUT}.o", "dflt"),)),
        ("{{steps.l.outputs.result}}", (Ref("loop", "l", "outputs.result", "steps.l.outputs.result"),)),
        ("{{item}}", (Ref("item", tag="item"),)),
        ("{{item.k}}", (Ref("item", field="k", tag="item.k"),)),
        ("{{workflow.name}}", (Ref("workflow", "name", tag="workflow.name"),)),
        ("{{unknown}} {{ kept }}", ("{{unknown}} {{ kept }}",)),
        ("{{inputs.parameters.nobody}}", ("{{inputs.parameters.nobody}}",)),
        ("{{steps.nobody.outputs.result}}", ("{{steps.nobody.outputs.result}}",)),
        ("{not a tag} }}{{", ("{not a tag} }}{{",)),
    ],
)  # fmt: skip
def test_bind(text: str, expected: Text) -> None:
    assert frame().bind(text) == expected


def test_values_are_never_scanned_for_tags() -> None:
    """Argo substitutes once (semantics.md §2.1): a tag inside a value is data."""
    outer = Frame(template(steps=[]), {"x": ("{{workflow.name}}",)}, {})
    assert outer.bind("{{inputs.parameters.x}}") == ("{{workflow.name}}",)


def test_output_of_an_inlined_template_is_its_producers() -> None:
    outputs = {"parameters": [{"name": "o", "valueFrom": {"parameter": "{{steps.a.outputs.result}}", "default": "d"}}]}
    inner = Frame(template(steps=[], outputs=outputs), {}, {}, group="g")
    inner.placed["a"] = Placed(leaves=("g.a",), phase="g.a")
    outer = frame()
    outer.placed["g"] = Placed(leaves=("g.a",), phase="", inner=inner)
    assert outer.bind("{{steps.g.outputs.parameters.o}}") == (
        Ref("node", "g.a", "outputs.result", "steps.a.outputs.result", "d"),
    )
    assert outer.bind("{{steps.g.status}}") == ("{{steps.g.status}}",), "nothing publishes it"


REF = Ref("node", "a", "outputs.result")


@pytest.mark.parametrize(
    ("binding", "expected"),
    [
        (Binding("x", None, None), None),
        (Binding("x", None, "d"), ("d",)),
        (Binding("x", ("v",), "d"), ("v",)),
        (Binding("x", (), "d"), ()),
        (Binding("x", (REF,), "d"), (Ref("node", "a", "outputs.result", default="d"),)),
        (Binding("x", (REF, "!"), "d"), (REF, "!")),  # only a pure tag can be absent (semantics.md §2.8)
        (Binding("x", (Ref("node", "a", default="own"),), "d"), (Ref("node", "a", default="own"),)),
    ],
)
def test_with_default(binding: Binding, expected: Text | None) -> None:
    assert with_default(binding) == expected


def arguments(**fields) -> Arguments:
    return Arguments.model_validate(fields)


def test_argument_before_value_before_default() -> None:
    """semantics.md §2.9."""
    inputs = [{"name": "a", "value": "v", "default": "d"}, {"name": "b", "default": "d"}, {"name": "c"}]
    callee = template(inputs={"parameters": inputs}, container={"image": "i"})
    none, _ = frame().arguments(arguments(), callee)
    assert none == (Binding("a", None, "v"), Binding("b", None, "d"), Binding("c", None, None))
    given, _ = frame().arguments(
        arguments(parameters=[{"name": "a", "value": ""}, {"name": "c", "value": "3"}]), callee
    )
    assert given == (Binding("a", (), "v"), Binding("b", None, "d"), Binding("c", ("3",), None))


def test_workflow_variables_mean_something_in_a_default() -> None:
    inputs = [{"name": "a", "default": "of {{workflow.name}}"}, {"name": "b", "default": "of {{item}}"}]
    callee = template(inputs={"parameters": inputs}, container={"image": "i"})
    (one, two), _ = frame().arguments(arguments(), callee)
    assert one == Binding("a", ("of ", Ref("workflow", "name", tag="workflow.name")))
    assert two == Binding("b", None, "of {{item}}")


def test_artifact_arguments() -> None:
    inputs = {"artifacts": [{"name": "x", "path": "/x", "optional": True}, {"name": "y", "path": "/y"}]}
    callee = template(inputs=inputs, container={"image": "i"})
    source = {"name": "y", "from": "{{steps.a.outputs.artifacts.o}}"}
    _, found = frame().arguments(arguments(artifacts=[source]), callee)
    assert found == (ArtifactBinding("y", Ref("node", "a", "outputs.artifacts.o", "steps.a.outputs.artifacts.o")),)
    for spelled in ("steps.a.outputs.artifacts.o", "{{ steps.a.outputs.artifacts.o }}"):
        again = arguments(artifacts=[{**source, "from": spelled}])
        assert frame().arguments(again, callee)[1] == found


def step(**fields) -> WorkflowStep:
    return WorkflowStep.model_validate({"name": "s", "template": "t", **fields})


def test_loops() -> None:
    assert loop_of(step(), frame()) is None
    assert loop_of(step(withItems=[1, "a"]), frame()) == Loop(items=(1, "a"))
    assert loop_of(step(withParam="[1, 2]"), frame()) == Loop(items=(1, 2))
    assert loop_of(step(withParam="{{inputs.parameters.r}}"), frame()) == Loop(param=frame().parameters["r"])
    assert loop_of(step(withSequence={"start": "1", "end": "0"}), frame()) == Loop(items=("1", "0"))
    assert loop_of(step(withSequence={"count": "{{item}}"}), frame()) == Loop(
        sequence=(("count", (Ref("item", tag="item"),)),)
    )
    tagged = loop_of(step(withItems=[{"k": ["{{inputs.parameters.r}}"]}]), frame())
    assert tagged == Loop(items=({"k": [frame().parameters["r"]]},))
    assert tagged is not None
    assert not tagged.literal


def test_text_that_is_no_list_is_left_to_the_worker() -> None:
    """It fails there with Argo's words, unless a ``when`` says no first (semantics.md §2.7)."""
    loop = loop_of(step(withParam="no list"), frame())
    assert loop == Loop(param=("no list",))


def test_sequence_that_cannot_be_made_is_left_to_the_worker() -> None:
    """A literal argument of an inline template may say anything; the other tasks of the file are none the worse."""
    inner = Frame(template(), {"r": ("abc",)}, {})
    assert loop_of(step(withSequence={"count": "{{inputs.parameters.r}}"}), inner) == Loop(
        sequence=(("count", ("abc",)),)
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{{steps.a.status}}", True),
        ("{{tasks.a-b.status}} x", True),
        ("{{steps.a.outputs.result}}", False),
        ("", False),
    ],
)
def test_needs_phase(text: str, wanted: bool) -> None:
    assert needs_phase(template(steps=[[{"name": "a", "template": "t", "when": text}]])) is wanted
