"""The workflow's parameters in Airflow's trigger form, and a broken file in its list of import errors."""

from __future__ import annotations

from airflow_api import Run

BROKEN = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: ui-broken-}
spec:
  entrypoint: main
  templates:
  - name: main
    container: {image: alpine, comand: [echo]}
"""
MESSAGE = "Grüße aus dem Formular"


def test_a_changed_parameter_reaches_the_container(airflow, stack, page, artefacts):
    airflow.wait_for_dag("hello-world")
    before = {run["dag_run_id"] for run in airflow.client.runs("hello-world")}
    page.goto(f"{stack.connection.url}/dags/hello-world")
    page.get_by_role("button", name="Trigger").first.click()
    field = page.locator("#element_message")
    assert field.input_value() == "hello world", "the workflow's own value is the default"
    assert page.get_by_text("What the whale says").is_visible(), "the parameter's description"
    field.fill(MESSAGE)
    page.screenshot(path=artefacts / "trigger_form.png")
    page.get_by_role("dialog").get_by_role("button", name="Trigger").last.click()

    def started():
        return [run for run in airflow.client.runs("hello-world") if run["dag_run_id"] not in before]

    (found,) = airflow.until(started, lambda: "the run that the form started")
    run = Run(airflow.client, "hello-world", found["dag_run_id"])
    page.goto(f"{stack.connection.url}/dags/hello-world/runs/{run.run_id}")
    assert airflow.wait(run) == "success", airflow.trouble(run)
    page.get_by_test_id("state-badge").filter(has_text="Success").first.wait_for()
    assert run.raw["conf"] == {"message": MESSAGE}
    assert f"< {MESSAGE} >" in run.task("hello").log


def test_a_broken_file_is_shown_by_name_and_line(airflow, stack, dags, page, artefacts):
    file = dags / "ui-broken.yaml"
    file.write_text(BROKEN)
    try:

        def found():
            return [error for error in airflow.client.import_errors() if error["filename"] == "ui-broken.yaml"]

        airflow.until(found, lambda: "the import error of ui-broken.yaml")
        page.goto(f"{stack.connection.url}/")
        page.get_by_text("Import Error").first.click()
        page.get_by_text("ui-broken.yaml").first.click()
        page.get_by_text("ui-broken.yaml:8:32: error: unknown field `comand`").first.wait_for()
        assert page.get_by_text("did you mean `command`?").first.is_visible()
        page.screenshot(path=artefacts / "import_error.png")
    finally:
        file.unlink()
