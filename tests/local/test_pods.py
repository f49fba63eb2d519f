"""Pods as Kubernetes runs them: phases, states, order, volumes, variables, ends."""

from __future__ import annotations

import base64

import pytest
from kubernetes.client import ApiException

from .conftest import Server, ended, wait_for


@pytest.mark.parametrize(("code", "phase", "reason"), [(0, "Succeeded", "Completed"), (3, "Failed", "Error")])
def test_exit_code(server: Server, code: int, phase: str, reason: str) -> None:
    pod, log = server.run(f"echo said; echo complained >&2; exit {code}")
    assert (pod.status.phase, ended(pod).exit_code, ended(pod).reason) == (phase, code, reason)
    assert log == "said\ncomplained\n"
    assert pod.status.pod_ip == "127.0.0.1"
    assert pod.status.start_time
    assert {c.type for c in pod.status.conditions} == {"PodScheduled", "Initialized", "ContainersReady", "Ready"}
    events = server.core.list_namespaced_event("default", field_selector=f"involvedObject.name={pod.metadata.name}")
    assert {"Scheduled", "Started"} <= {event.reason for event in events.items}


def test_a_signal_is_128_more(server: Server) -> None:
    pod, _ = server.run("sh -c 'kill -9 $$$$'; exit $?")  # Kubernetes makes one dollar of two
    assert ended(pod).exit_code == 137


def test_sandbox(server: Server) -> None:
    """Own processes, own /tmp, files anywhere, the machine's files readable; nothing of it is changed."""
    _, log = server.run(
        "echo pids $(ls /proc | grep -c '^[0-9]'); echo tmp $(ls /tmp | wc -l); hostname; id -u; set -e;"
        "for f in /tmp/x /foo.txt /root/x /var/x /mnt/x; do echo a >$f; cat $f; done; [ -x /usr/bin/env ] && echo ok",
        name="sandboxed",
    )
    lines = log.split("\n")
    assert int(lines[0].split()[1]) < 8
    assert lines[1:4] == ["tmp 0", "sandboxed", "0"]
    assert lines[4:] == ["a"] * 5 + ["ok", ""]
    assert not __import__("os").path.exists("/foo.txt")


def test_the_home_is_hidden(server: Server) -> None:
    """Neither the token nor other pods' folders can be seen, though the folder is on the host's root."""
    assert (server.home / "kubeconfig").stat().st_mode & 0o777 == 0o600
    other = server.pod("sleep 1000")
    server.running(other)
    assert list((server.home / "pods").iterdir())
    _, log = server.run(
        f"find {server.home} -mindepth 1 2>&1;"
        f" find / -name kubeconfig -path '*{server.home.parent.name}*' 2>/dev/null; echo end"
    )
    server.core.delete_namespaced_pod(other, "default", grace_period_seconds=0)
    assert [line for line in log.splitlines() if "No such file" not in line] == ["end"]


def test_containers_share_an_empty_dir(server: Server) -> None:
    mount = {"name": "shared", "mountPath": "/data/deep/er"}
    init = [
        {
            "name": f"init-{n}",
            "image": "x",
            "command": ["sh", "-c", f"echo {n} >>/data/deep/er/order"],
            "volumeMounts": [mount],
        }
        for n in (1, 2)
    ]
    reader = {**mount, "readOnly": True}
    command = "cd /data/deep/er; cat order; until [ -e late ]; do sleep 0.05; done; touch no || echo locked"
    body = {
        "metadata": {"name": "sharing"},
        "spec": {
            "restartPolicy": "Never",
            "volumes": [{"name": "shared", "emptyDir": {"medium": "Memory"}}],
            "initContainers": init,
            "containers": [
                {"name": "a", "image": "x", "command": ["sh", "-c", command], "volumeMounts": [reader]},
                {"name": "b", "image": "x", "command": ["touch", "/data/deep/er/late"], "volumeMounts": [mount]},
            ],
        },
    }
    server.core.create_namespaced_pod("default", body)
    pod = server.end("sharing")
    log = server.log("sharing", container="a")
    assert pod.status.phase == "Succeeded", log
    assert log.startswith("1\n2\n")
    assert log.endswith("locked\n")
    with pytest.raises(ApiException) as caught:
        server.log("sharing")
    assert caught.value.status == 400  # as Kubernetes: which of the two?


def test_sub_paths(server: Server) -> None:
    """A file an init container made, mounted alone, is how input artifacts arrive; an absent one becomes a folder."""
    volume = {"name": "in", "emptyDir": {}}
    init = {
        "name": "init", "image": "x", "volumeMounts": [{"name": "in", "mountPath": "/in"}],
        "command": ["sh", "-c", "mkdir /in/dir; echo file >/in/f; echo inner >/in/dir/g"],
    }  # fmt: skip
    mounts = [
        {"name": "in", "mountPath": "/etc/app/input.txt", "subPath": "f"},
        {"name": "in", "mountPath": "/deep/dir", "subPath": "dir"},
        {"name": "in", "mountPath": "/new", "subPath": "not/there"},
        {"name": "in", "mountPath": "/tmp/file", "subPath": "f"},
    ]
    pod, log = server.run(
        "cat /etc/app/input.txt /deep/dir/g /tmp/file; [ -d /new ] && echo folder",
        container={"volumeMounts": mounts}, volumes=[volume], initContainers=[init],
    )  # fmt: skip
    assert (pod.status.phase, log) == ("Succeeded", "file\ninner\nfile\nfolder\n")


def test_sub_path_may_not_leave_its_volume(server: Server) -> None:
    pod = server.end(
        server.pod(
            "true", volumes=[{"name": "v", "emptyDir": {}}],
            container={"volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "../../.."}]},
        )
    )  # fmt: skip
    assert pod.status.phase == "Failed"
    assert "leaves the volume" in pod.status.message


def test_config_map_and_secret_volumes(server: Server) -> None:
    volumes = [
        {"name": "c", "configMap": {"name": "settings", "items": [{"key": "page", "path": "www/index.html"}]}},
        {"name": "s", "secret": {"secretName": "login", "defaultMode": 0o444}},
        {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
    ]
    mounts = [
        {"name": "c", "mountPath": "/c"},
        {"name": "s", "mountPath": "/s"},
        {"name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"},
    ]
    command = "cat /c/www/index.html /s/password; echo; base64 </s/file.bin; ls /c; touch /s/x || echo locked"
    pod, log = server.run(command, container={"volumeMounts": mounts}, volumes=volumes)
    lines = log.splitlines()
    assert lines[:4] == ["<b>hi</b>", "hunter2", base64.b64encode(b"\xff\x00\xfe").decode(), "www"]
    assert lines[-1] == "locked"
    assert pod.status.phase == "Succeeded"


def test_other_volumes_fail_by_name(server: Server) -> None:
    pod = server.end(server.pod("true", volumes=[{"name": "disk", "persistentVolumeClaim": {"claimName": "c"}}]))
    assert pod.status.phase == "Failed"
    assert 'volume "disk": persistentVolumeClaim is not supported' in pod.status.message


def test_environment(server: Server) -> None:
    env = [
        {"name": "A", "value": "1"},
        {"name": "B", "value": "$(A)-$(NOPE)-$$(A)-$(CM_color)"},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}},
        {"name": "MISSING", "valueFrom": {"secretKeyRef": {"name": "nope", "key": "x", "optional": True}}},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "dotted.name-x", "value": "odd"},
        {"name": "TEXT", "value": "two\nlines ' \" $HOME ü"},
    ]
    source = [
        {"prefix": "CM_", "configMapRef": {"name": "settings"}},
        {"secretRef": {"name": "gone", "optional": True}},
    ]
    _, log = server.run(
        ["sh", "-c", 'printf "%s\\n" "$B" "$PASSWORD" "[$MISSING]" "$NODE" "$NAME" "$TEXT" "$1" "$(pwd)"', "-"],
        container={"env": env, "envFrom": source, "args": ["$(PASSWORD)!"], "workingDir": "/usr/bin"},
        meta={"labels": {"app": "crawler"}}, name="environment",
    )  # fmt: skip
    assert log.splitlines()[:9] == [
        "1-$(NOPE)-$(A)-blue", "hunter2", "[]", "crawler", "environment", "two", "lines ' \" $HOME ü", "hunter2!",
        "/usr/bin",
    ]  # fmt: skip
    assert "dotted.name-x=odd" in server.run(["env"], container={"env": env})[1]
    assert "ARGO_AIRFLOW_LOCAL" not in server.run("env")[1]


def test_a_missing_secret_waits(server: Server) -> None:
    """As on a cluster: Pending until the secret is there; then it runs."""
    env = [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "later", "key": "x"}}}]
    name = server.pod("echo got $X", container={"env": env})
    waiting = wait_for(
        lambda: (s := server.read(name).status).container_statuses[0].state.waiting.reason != "PodInitializing" and s,
        "waiting",
    )
    assert waiting.phase == "Pending"
    state = waiting.container_statuses[0].state.waiting
    assert (state.reason, state.message) == ("CreateContainerConfigError", 'secret "later" not found')
    made = server.resources / "later.yaml"
    made.write_text("apiVersion: v1\nkind: Secret\nmetadata: {name: later}\nstringData: {x: it}\n")
    assert server.end(name).status.phase == "Succeeded"
    assert server.log(name) == "got it\n"
    made.unlink()


def test_a_waiting_pod_can_be_deleted(server: Server) -> None:
    name = server.pod("true", container={"envFrom": [{"secretRef": {"name": "never"}}]})
    server.core.delete_namespaced_pod(name, "default")
    wait_for(lambda: server.gone(name), "deleted")


def test_objects_made_through_the_api(server: Server) -> None:
    server.core.create_namespaced_secret("default", {"metadata": {"name": "made"}, "stringData": {"x": "api"}})
    env = [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "made", "key": "x"}}}]
    assert server.run("echo $X", container={"env": env})[1] == "api\n"
    server.core.delete_namespaced_secret("made", "default")
    assert server.core.read_namespaced_secret("login", "default").data["password"] == "aHVudGVyMg=="
    for name, namespace in (("made", "default"), ("elsewhere", "default")):
        with pytest.raises(ApiException) as caught:
            server.core.read_namespaced_secret(name, namespace)
        assert caught.value.status == 404


def test_a_failed_init_container_ends_the_pod(server: Server) -> None:
    init = {"name": "init", "image": "x", "command": ["sh", "-c", "echo no; exit 7"]}
    pod = server.end(server.pod("echo never", initContainers=[init]))
    assert (pod.status.phase, ended(pod, "init").exit_code) == ("Failed", 7)
    assert pod.status.container_statuses[0].state.waiting.reason == "PodInitializing"
    assert server.log(pod.metadata.name, container="init") == "no\n"


@pytest.mark.parametrize("name", ["no-such-program", "/no/such/path", "/etc/passwd"])
def test_a_command_that_cannot_run(server: Server, name: str) -> None:
    pod, log = server.run([name, "x"])
    assert (pod.status.phase, ended(pod).exit_code, ended(pod).reason) == ("Failed", 128, "StartError")
    assert name in ended(pod).message
    assert log == ""


def test_no_command(server: Server) -> None:
    pod = server.end(server.pod(None))
    assert (pod.status.phase, ended(pod).exit_code) == ("Failed", 128)
    assert "no command specified" in ended(pod).message


def test_image_index(server: Server) -> None:
    assert server.run(None, container={"image": "tool:2"})[1].splitlines()[0] == "tool image one two"
    assert server.run(None, container={"image": "tool", "args": ["x"]})[1].splitlines()[0] == "tool image one x"
    assert server.run("pwd", container={"image": "tool"})[1] == "/usr\n"


def test_run_as_user(server: Server) -> None:
    volume, mount = {"name": "v", "emptyDir": {}}, {"name": "v", "mountPath": "/v"}
    container = {"securityContext": {"runAsUser": 1234}, "volumeMounts": [mount]}
    pod, log = server.run("id -u; echo x >/v/x; cat /v/x", container=container, volumes=[volume])
    assert (pod.status.phase, log) == ("Succeeded", "1234\nx\n")


def test_deadline(server: Server) -> None:
    pod = server.end(server.pod("sleep 1000", activeDeadlineSeconds=1, terminationGracePeriodSeconds=0))
    assert (pod.status.phase, pod.status.reason) == ("Failed", "DeadlineExceeded")
    assert ended(pod).exit_code == 137, ended(pod).message


def test_grace_lets_a_container_end(server: Server) -> None:
    name = server.pod("trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.05; done")
    server.running(name)
    stream = server.core.read_namespaced_pod_log(name, "default", follow=True, _preload_content=False)
    first = b""
    while not first.endswith(b"up\n"):
        first += stream.read(1)
    server.core.delete_namespaced_pod(name, "default")
    assert stream.data.decode() == "bye\n"  # and the follow ended
    wait_for(lambda: server.gone(name), "deleted")


def test_grace_ends(server: Server) -> None:
    """PID 1 without a handler does not see SIGTERM, as in any container; SIGKILL comes after the grace."""
    name = server.pod("echo up; sleep 1000; true")
    server.running(name)
    server.core.delete_namespaced_pod(name, "default", grace_period_seconds=1)
    assert server.read(name).metadata.deletion_timestamp
    wait_for(lambda: server.gone(name), "deleted")


def test_a_name_is_taken_once(server: Server) -> None:
    name = server.pod("true")
    with pytest.raises(ApiException) as caught:
        server.pod("true", name=name)
    assert (caught.value.status, '"AlreadyExists"' in caught.value.body) == (409, True)
    server.end(name)
    server.core.delete_namespaced_pod(name, "default")
    wait_for(lambda: server.gone(name), "deleted")
    assert server.end(server.pod("true", name=name)).status.phase == "Succeeded"


def test_fifty_at_once(server: Server) -> None:
    names = [server.pod(f"echo {n}", meta={"labels": {"many": "yes"}}) for n in range(50)]

    def all_ended() -> list | None:
        pods = server.core.list_namespaced_pod("default", label_selector="many=yes").items
        return pods if {pod.status.phase for pod in pods} <= {"Succeeded", "Failed"} else None

    pods = wait_for(all_ended, "50 pods", 180)
    assert [pod.status.phase for pod in pods] == ["Succeeded"] * 50
    assert [server.log(name) for name in names] == [f"{n}\n" for n in range(50)]
