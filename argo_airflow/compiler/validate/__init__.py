"""Stage 2: Argo's lint catalogue (Argo: workflow/validate/validate.go), every fault of a document at once.

A rule is a function from :class:`Context` to diagnostics; ``RULES`` is their order.
"""

from __future__ import annotations

from argo_airflow.compiler.parse import Document, read
from argo_airflow.compiler.validate import calls, graphs, names, references, templates
from argo_airflow.compiler.validate.context import Context, Rule
from argo_airflow.errors import Diagnostic

RULES: tuple[Rule, ...] = (
    names.metadata,
    names.entrypoint,
    names.templates,
    names.parameters_and_artifacts,
    names.calls,
    templates.kinds,
    templates.containers,
    templates.inputs,
    templates.outputs,
    templates.retries,
    calls.targets,
    calls.arguments_have_values,
    calls.inputs_are_supplied,
    calls.enums,
    calls.loops,
    calls.conditions,
    graphs.tasks,
    graphs.dependencies,
    graphs.cycles,
    references.tags,
    references.artifact_sources,
)


def validate(document: Document) -> list[Diagnostic]:
    """All faults of a document, sorted by place; warnings among them."""
    context = Context(document)
    return sorted({fault for rule in RULES for fault in rule(context)})


def check(text: str | bytes, file: str) -> tuple[tuple[Document, ...], list[Diagnostic]]:
    """Parse and validate a file: its workflows, and the faults of both stages, sorted by place."""
    documents, diagnostics = read(text, file)
    found = {*diagnostics, *(fault for document in documents for fault in validate(document))}
    return documents, sorted(found)
