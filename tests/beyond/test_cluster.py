"""The flags and variables that say which workers train together."""

import json

import pytest

from shared.beyond.distributed.cluster import Cluster, cluster_of
from shared.command.line import main
from shared.machine.checks import UsageError


class Command:
    """The flags of `train` that concern workers."""

    def __init__(self, workers=None, worker=None, virtual_devices=None, connect_timeout=300.0):
        self.workers, self.worker = workers, worker
        self.virtual_devices, self.connect_timeout = virtual_devices, connect_timeout


def config_of(workers, index, kind="worker"):
    return json.dumps({"cluster": {kind: workers}, "task": {"type": kind, "index": index}})


def test_without_flags_and_variables_there_is_no_cluster():
    assert cluster_of("tf_vae", Command()) is None


def test_flags_and_tf_config_describe_the_same_cluster(monkeypatch):
    expected = Cluster(("a:1", "[::1]:2", "c.d:65535"), 3, 2, 9)
    assert cluster_of("tf_vae", Command("a:1, [::1]:2,c.d:65535", 2, None, 9)) == expected
    monkeypatch.setenv("TF_CONFIG", config_of(["a:1", "[::1]:2", "c.d:65535"], 2))
    assert cluster_of("tf_vae", Command(connect_timeout=9)) == expected
    assert not expected.chief and cluster_of("tf_vae", Command("a:1,b:2", 0)).chief


def test_jax_variables_describe_a_cluster(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "node0:1234")
    monkeypatch.setenv("JAX_NUM_PROCESSES", "4")
    monkeypatch.setenv("JAX_PROCESS_ID", "3")
    assert cluster_of("keras_vae", Command()) == Cluster(("node0:1234",), 4, 3)
    monkeypatch.setenv("JAX_PROCESS_ID", "4")
    with pytest.raises(UsageError, match="worker 4 is not one of the 4"):
        cluster_of("keras_vae", Command())
    monkeypatch.setenv("JAX_PROCESS_ID", "x")
    with pytest.raises(UsageError, match="JAX_PROCESS_ID='x'"):
        cluster_of("keras_vae", Command())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers", "a:1,b:2"], "--workers needs --worker I"),
        (["--worker", "0"], "--worker needs --workers"),
        (["--workers", "a:1,a:1", "--worker", "0"], "a:1 twice"),
        (["--workers", "a:1,b", "--worker", "0"], "'b'"),
        (["--workers", "a:1,:2", "--worker", "0"], "':2'"),
        (["--workers", "a:1,b:65536", "--worker", "0"], "'b:65536'"),
        (["--workers", "a:1,b:0", "--worker", "0"], "'b:0'"),
        (["--workers", "", "--worker", "0"], "''"),
        (["--workers", "a:1,b:2", "--worker", "2"], "worker 2 is not one of the 2"),
        (["--workers", "a:1,b:2", "--worker", "-1"], "worker -1 is not one of the 2"),
        (["--workers", "a:1", "--worker", "0", "--connect-timeout", "0"], "--connect-timeout is 0"),
        (["--virtual-devices", "0"], "--virtual-devices is 0"),
        (["--virtual-devices", "2", "--workers", "a:1", "--worker", "0"], "exclude each other"),
    ],
)
def test_bad_flags_are_refused_in_one_line(arguments, message, data_path, tmp_path, capsys):
    words = ["train", "--data", str(data_path), "--out", str(tmp_path / "run"), *arguments]
    assert main("tf_vae", words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "value",
    [
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1"]}}',
        config_of(["a:1"], 0, "ps"),
        config_of(["a:1"], "0"),
        json.dumps({"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {}}),
    ],
)
def test_a_bad_tf_config_is_refused(value, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", value)
    with pytest.raises(UsageError, match="TF_CONFIG cannot be used"):
        cluster_of("tf_vae", Command())


def test_keras_needs_jax_for_several_workers(monkeypatch):
    for backend in ("tensorflow", "torch"):
        monkeypatch.setenv("KERAS_BACKEND", backend)
        with pytest.raises(UsageError, match="set KERAS_BACKEND=jax, or train with tf_vae"):
            cluster_of("keras_vae", Command("a:1,b:2", 0))
    with pytest.raises(UsageError, match="--virtual-devices needs tf_vae"):
        cluster_of("keras_vae", Command(virtual_devices=2))
