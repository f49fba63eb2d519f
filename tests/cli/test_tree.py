"""Trees from answers of Airflow's REST API, written by hand in its form."""

from argo_airflow.cli.tree import Snapshot, build, duration, header

ROOT = ("crawl", "r")


def run(dag_id="crawl", run_id="r", state="running", parent=None, **more):
    conf = {}
    if parent:
        names = ("dag_id", "run_id", "task_id", "map_index")
        conf = {"argo": {"root_run_id": "r", "parent": dict(zip(names, (*parent, -1)[:4], strict=True))}}
    times = {"run_after": more.pop("run_after", "2026-01-01T00:00:00Z"), "start_date": None, "end_date": None}
    return {"dag_id": dag_id, "dag_run_id": run_id, "state": state, "conf": conf, **times, **more}


def ti(task_id, state="success", map_index=-1, start="2026-01-01T00:00:00Z", end="2026-01-01T00:00:02Z", label=None):
    if state is None:
        start = end = None
    times = {"start_date": start, "end_date": end}
    return {"task_id": task_id, "state": state, "map_index": map_index, "rendered_map_index": label, **times}


def tree(*instances, children=(), more=None, **rest):
    return build(Snapshot(run(), {ROOT: instances, **(more or {})}, children, **rest))


def shown(node):
    """The tree as (name, phase) with its children."""
    if node.children:
        return (node.name, node.phase, [shown(child) for child in node.children])
    return (node.name, node.phase)


def test_states_are_shown_as_argos_phases():
    phases = {
        "success": "Succeeded",
        "failed": "Failed",
        "upstream_failed": "Omitted",
        "skipped": "Skipped",
        "running": "Running",
        "deferred": "Running",
        "queued": "Pending",
        "up_for_retry": "Pending",
        None: "Pending",
    }
    for state, phase in phases.items():
        assert shown(tree(ti("a", state))) == ("crawl", "Running", [("a", phase)])


def test_groups_are_nodes_with_their_members_phase():
    root = tree(ti("g.a"), ti("g.inner.b", "failed"), ti("h.c"), ti("h.d", None), ti("k.e", "skipped"))
    assert shown(root) == (
        "crawl",
        "Running",
        [
            ("g", "Failed", [("a", "Succeeded"), ("inner", "Failed", [("b", "Failed")])]),
            ("h", "Running", [("c", "Succeeded"), ("d", "Pending")]),
            ("k", "Skipped", [("e", "Skipped")]),
        ],
    )


def test_our_own_tasks_are_not_nodes_but_the_exit_handler_is():
    root = tree(ti("g._when"), ti("g.a"), ti("g._end"), ti("loop_items"), ti("_onExit"))
    assert shown(root) == ("crawl", "Running", [("g", "Succeeded", [("a", "Succeeded")]), ("onExit", "Succeeded")])


def test_mapped_tasks_have_argos_names():
    labelled = ti("fan", map_index=0, label="fan(0:apple)")
    root = tree(labelled, ti("fan", map_index=1, label="1:pear"), ti("fan", "running", map_index=2))
    assert [child.name for child in root.children] == ["fan(0:apple)", "fan(1:pear)", "fan(2)"]


def test_a_removed_instance_is_not_shown():
    assert tree(ti("a", "removed")).children == []


def test_a_called_run_is_drawn_in_its_call():
    child = run("crawl.page", "c", "success", parent=("crawl", "r", "g.call"))
    root = tree(ti("g.call"), children=[child], more={("crawl.page", "c"): [ti("get")]})
    (group,) = root.children
    assert shown(group) == ("g", "Succeeded", [("call", "Succeeded", [("get", "Succeeded")])])
    assert group.children[0].template == "page"


def test_calls_of_a_loop_are_kept_apart():
    children = [run("crawl.page", f"c{n}", "running", parent=("crawl", "r", "call", n)) for n in (0, 1)]
    more = {("crawl.page", f"c{n}"): [ti(f"get-{n}")] for n in (0, 1)}
    root = tree(ti("call", "deferred", 0), ti("call", "deferred", 1), children=children, more=more)
    assert [shown(child)[2] for child in root.children] == [[("get-0", "Succeeded")], [("get-1", "Succeeded")]]


def recursion(count):
    """Each run started by its predecessor's task ``again``, as tail calls are."""
    parents = [("crawl", "r", "call"), *(("crawl.page", f"c{n}", "again") for n in range(count - 1))]
    times = [f"2026-01-01T00:{n // 60:02}:{n % 60:02}Z" for n in range(count)]
    return [
        run("crawl.page", f"c{n}", "success", parent=parent, run_after=time)
        for n, (parent, time) in enumerate(zip(parents, times, strict=True))
    ]


def test_a_recursion_is_a_list_not_a_staircase():
    more = {("crawl.page", f"c{n}"): [ti("get"), ti("again")] for n in range(5)}
    (call,) = tree(ti("call", "deferred"), children=recursion(5), more=more).children
    assert [child.name for child in call.children] == [f"page({n})" for n in range(5)]
    assert {len(child.children) for child in call.children} == {2}


def test_a_deep_recursion_does_not_exhaust_the_stack():
    (call,) = tree(ti("call", "deferred"), children=recursion(3000)).children
    assert len(call.children) == 3000


def test_mutual_recursion_stays_flat():
    runs = [
        run("crawl.a", "a0", parent=("crawl", "r", "call"), run_after="1"),
        run("crawl.b", "b0", parent=("crawl.a", "a0", "to-b"), run_after="2"),
        run("crawl.a", "a1", parent=("crawl.b", "b0", "to-a"), run_after="3"),
        run("crawl.b", "b1", parent=("crawl.a", "a1", "to-b"), run_after="4"),
    ]
    more = {("crawl.a", "a0"): [ti("to-b")], ("crawl.b", "b0"): [ti("to-a")]}
    (call,) = tree(ti("call", "deferred"), children=runs, more=more).children
    assert [child.name for child in call.children] == ["a(0)", "a(1)"]
    (to_b,) = call.children[0].children
    assert [child.name for child in to_b.children] == ["b(0)", "b(1)"]


def test_runs_that_call_each_other_in_a_circle_do_not_hang():
    runs = [run("crawl.a", "a", parent=("crawl.b", "b", "x")), run("crawl.b", "b", parent=("crawl.a", "a", "x"))]
    assert tree(ti("call"), children=runs).children[0].children == []


def test_messages_and_templates():
    root = tree(
        ti("a", "failed"),
        messages={("crawl", "r", "a", -1): "main: Error (exit code 3)"},
        templates={("crawl", "a"): "get-page"},
    )
    assert (root.children[0].message, root.children[0].template) == ("main: Error (exit code 3)", "get-page")


def test_durations():
    second = ti("a", end="2026-01-01T00:00:02.5Z")
    for end, text in {"00:00:02.5Z": "2.5s", "00:02:05Z": "2m05s", "01:30:00Z": "1h30m"}.items():
        (node,) = tree({**second, "end_date": f"2026-01-01T{end}"}).children
        assert duration(node) == text
    assert duration(tree(ti("a", "skipped")).children[0]) == ""
    assert duration(tree(ti("a", None)).children[0]) == ""


def test_the_header_counts_nodes():
    snapshot = Snapshot(run(start_date="2026-01-01T00:00:00Z"), {ROOT: [ti("a"), ti("b", "running"), ti("c", None)]})
    lines = dict(line.split(":", 1) for line in header(snapshot, "team", build(snapshot)))
    values = {name: value.strip() for name, value in lines.items()}
    assert values["Name"] == "crawl (r)"
    assert (values["Namespace"], values["Status"], values["Progress"]) == ("team", "Running", "1/3")
