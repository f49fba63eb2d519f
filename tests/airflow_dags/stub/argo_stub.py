"""Puts a small compiler in the place of ``argo_airflow.compiler.dags`` while the real one is not there.

It knows metadata.name and nothing else. On the PYTHONPATH of each Airflow process that the tests start.
"""

import contextlib
import sys
import types


def stub_dags(path, *, text=None, root=None):  # noqa: ARG001
    import yaml
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import DAG

    from argo_airflow.errors import Diagnostic, InvalidWorkflow, Position

    try:
        documents = [d for d in yaml.safe_load_all(text) if d]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = Position(path, mark.line + 1, mark.column + 1)
        raise InvalidWorkflow([Diagnostic(place, "bad-yaml", error.problem, hint="mend the YAML")]) from None
    dags, problems = [], []
    for document in documents:
        spec = document.get("spec", {})
        for line, content in enumerate(text.splitlines(), 1):
            if "notAField" in content:
                place = Position(path, line, content.index("notAField") + 1)
                problems.append(Diagnostic(place, "unknown-field", "unknown field notAField", hint="remove it"))
        if document.get("kind") not in ("Workflow", "CronWorkflow"):
            continue
        metadata = document["metadata"]
        with DAG(metadata.get("name") or metadata["generateName"].rstrip("-"), schedule=None) as dag:
            for template in spec.get("templates", []):
                EmptyOperator(task_id=template["name"])
        dags.append(dag)
    if problems:
        raise InvalidWorkflow(problems)
    return dags


def install():
    compiler = types.ModuleType("argo_airflow.compiler")
    compiler.dags = stub_dags
    sys.modules["argo_airflow.compiler"] = compiler
    with contextlib.suppress(ImportError):
        import argo_airflow

        argo_airflow.compiler = compiler
