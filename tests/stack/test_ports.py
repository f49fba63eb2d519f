import socket

from argo_airflow.stack.ports import LOOPBACK, answers, is_free, next_free, some_free


def test_the_next_port_is_used_where_one_is_taken():
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert answers(port)
        assert not is_free(port)
        assert next_free(port) > port
    assert next_free(port) == port
    assert not answers(port)


def test_free_ports_differ():
    ports = some_free(20)
    assert len(set(ports)) == 20
    assert all(map(is_free, ports))
