"""The API: logs, selectors, watch, exec, bad requests, both clients."""

from __future__ import annotations

import asyncio
import re
import threading

import kubernetes_asyncio
import pytest
from kubernetes import client, watch
from kubernetes.client import ApiException
from kubernetes.stream import stream

from .conftest import Server, wait_for


def test_log_options(server: Server) -> None:
    name = server.pod("printf 'a\\n\\nc\\r\\nlast'")
    server.end(name)
    assert server.log(name) == "a\n\nc\r\nlast"
    stamped = server.log(name, timestamps=True).split("\n")
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z ", line) for line in stamped)
    assert [line[31:] for line in stamped] == ["a", "", "c\r", "last"]
    assert server.log(name, tail_lines=2) == "c\r\nlast"
    assert server.log(name, tail_lines=0) == ""
    assert server.log(name, limit_bytes=3) == "a\n\n"
    assert server.log(name, since_seconds=1000) == "a\n\nc\r\nlast"


def test_a_long_line_stays_whole(server: Server) -> None:
    name = server.pod("head -c 307200 /dev/zero | tr '\\0' x; echo; echo end")
    server.end(name)
    assert server.log(name) == "x" * 307200 + "\nend\n"
    assert len(server.log(name, timestamps=True).split("\n")) == 3


def test_log_of_any_bytes(server: Server) -> None:
    name = server.pod("printf '\\000\\377\\n\\376'")
    server.end(name)
    answer = server.core.read_namespaced_pod_log(name, "default", _preload_content=False)
    assert answer.data == b"\0\xff\n\xfe"


def test_follow_from_the_first_line_to_the_end(server: Server) -> None:
    name = server.pod("for n in 1 2 3; do echo $n; sleep 0.1; done; exec sleep 0.1")
    server.running(name)
    answer = server.core.read_namespaced_pod_log(name, "default", follow=True, _preload_content=False)
    assert answer.data == b"1\n2\n3\n"
    assert server.read(name).status.container_statuses[0].state.terminated  # KubernetesPodOperator relies on it


def test_selectors(server: Server) -> None:
    names = {app: server.pod("true", meta={"labels": {"app": app, "set": "selectors"}}) for app in ("a", "b", "c")}

    def found(labels: str, fields: str = "") -> set[str]:
        pods = server.core.list_namespaced_pod(
            "default", label_selector=f"set=selectors,{labels}", field_selector=fields
        )
        return {pod.metadata.labels["app"] for pod in pods.items}

    assert found("app in (a, b)") == {"a", "b"}
    assert found("app notin (a),app!=b") == {"c"}
    assert found("app,!nope") == {"a", "b", "c"}
    assert found("nope") == set()
    assert found("app", f"metadata.name={names['b']}") == {"b"}
    assert found("app", f"metadata.name!={names['b']}") == {"a", "c"}
    with pytest.raises(ApiException) as caught:
        found("a=b=c")
    assert caught.value.status == 400
    assert names["a"] in [pod.metadata.name for pod in server.core.list_pod_for_all_namespaces().items]


def test_watch(server: Server) -> None:
    """From a list's version on, nothing is missed: added, changed, deleted."""
    version = server.core.list_namespaced_pod("default").metadata.resource_version
    name = server.pod("true", meta={"labels": {"watched": "yes"}})
    server.end(name)
    server.core.delete_namespaced_pod(name, "default")
    seen = []
    watcher = watch.Watch()
    for event in watcher.stream(
        server.core.list_namespaced_pod,
        "default",
        label_selector="watched=yes",
        resource_version=version,
        timeout_seconds=30,
    ):
        seen.append((event["type"], event["object"].status.phase))
        if event["type"] == "DELETED":
            watcher.stop()
    assert seen[0] == ("ADDED", "Pending")
    assert ("MODIFIED", "Running") in seen
    assert seen[-1] == ("DELETED", "Succeeded")


def test_watch_sees_events_of_a_pod(server: Server) -> None:
    name, reasons = server.pod("sleep 0.3"), []
    watcher = watch.Watch()
    for event in watcher.stream(
        server.core.list_namespaced_event, "default", field_selector=f"involvedObject.name={name}", timeout_seconds=30
    ):
        reasons.append(event["object"].reason)
        if reasons[-1] == "Started":
            watcher.stop()
    assert reasons == ["Scheduled", "Started"]


def test_exec(server: Server) -> None:
    """The command is in the container: its files, its processes, its variables; stdin, stderr, exit code arrive."""
    name = server.pod("echo inside >/tmp/here; sleep 1000", container={"env": [{"name": "X", "value": "env"}]})
    server.running(name)
    command = [
        "sh",
        "-c",
        "cd /tmp; until [ -e here ]; do sleep 0.1; done; cat here; echo $X; ls /proc | grep -c '^[0-9]'; echo no >&2; exit 4",  # noqa: E501
    ]
    answer = stream(
        server.core.connect_get_namespaced_pod_exec, name, "default", command=command, stdout=True, stderr=True,
        stdin=False, tty=False, _preload_content=False,
    )  # fmt: skip
    answer.run_forever(timeout=30)
    out = answer.read_stdout().split("\n")
    assert out[:2] == ["inside", "env"]
    assert int(out[2]) < 8
    assert answer.read_stderr() == "no\n"
    assert answer.returncode == 4
    talk = stream(
        server.core.connect_get_namespaced_pod_exec, name, "default", command=["head", "-n1"], stdout=True, stderr=True,
        stdin=True, tty=False, _preload_content=False,
    )  # fmt: skip
    talk.write_stdin("hello\n")
    talk.run_forever(timeout=30)
    assert (talk.read_stdout(), talk.returncode) == ("hello\n", 0)
    server.core.delete_namespaced_pod(name, "default", grace_period_seconds=0)


def test_patch_of_labels(server: Server) -> None:
    name = server.pod("true", meta={"labels": {"a": "1", "b": "2"}})
    server.core.patch_namespaced_pod(name, "default", {"metadata": {"labels": {"a": None, "c": "3"}}})
    assert server.read(name).metadata.labels == {"b": "2", "c": "3"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"spec": {}}, "spec.containers: Required value"),
        ({"spec": {"containers": [{"name": "a"}]}}, "spec.containers[0].image: Required value"),
        ({"metadata": {"name": "UPPER"}, "spec": {"containers": [{"name": "a", "image": "x"}]}}, "metadata.name"),
        ({"spec": {"restartPolicy": "Always", "containers": [{"name": "a", "image": "x"}]}}, "spec.restartPolicy"),
        (
            {"spec": {"containers": [{"name": "a", "image": "x", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]}},
            'Not found: "v"',
        ),
    ],
)
def test_invalid_pods(server: Server, body: dict, said: str) -> None:
    with pytest.raises(ApiException) as caught:
        server.core.create_namespaced_pod("default", {"metadata": {"name": "bad"}, **body})
    assert caught.value.status == 422
    assert said in caught.value.body.replace('\\"', '"')


def test_unknown_things(server: Server) -> None:
    for call in (
        server.core.read_namespaced_pod,
        server.core.delete_namespaced_pod,
        server.core.read_namespaced_pod_log,
    ):
        with pytest.raises(ApiException) as caught:
            call("nope", "default")
        assert caught.value.status == 404
    with pytest.raises(ApiException) as caught:
        server.core.list_namespaced_service("default")
    assert caught.value.status == 404
    assert client.VersionApi(server.core.api_client).get_code().major == "1"


def test_the_token_is_needed(server: Server) -> None:
    bare = client.Configuration(host=server.core.api_client.configuration.host)
    with pytest.raises(ApiException) as caught:
        client.CoreV1Api(client.ApiClient(bare)).list_namespaced_pod("default")
    assert caught.value.status == 401


def test_kubernetes_asyncio(server: Server) -> None:
    async def drive() -> str:
        await kubernetes_asyncio.config.load_kube_config(str(server.home / "kubeconfig"))
        async with kubernetes_asyncio.client.ApiClient() as api:
            core = kubernetes_asyncio.client.CoreV1Api(api)
            name = server.pod("echo deferred")
            async with asyncio.timeout(60):
                async with kubernetes_asyncio.watch.Watch().stream(
                    core.list_namespaced_pod, "default", field_selector=f"metadata.name={name}"
                ) as events:
                    async for event in events:
                        if event["object"].status.phase == "Succeeded":
                            break
            return await core.read_namespaced_pod_log(name, "default")

    assert asyncio.run(drive()) == "deferred\n"


def test_many_followers(server: Server) -> None:
    name, got = server.pod("sleep 0.5; echo x; exit 0"), []
    server.running(name)
    threads = [threading.Thread(target=lambda: got.append(server.log(name, follow=True))) for _ in range(10)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(got) == 10, "all followers end")
    assert set(got) == {"x\n"}
