"""The files for Slurm and Kubernetes: valid, and with flags that the program accepts."""

import re
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from shared.beyond.distributed.cluster import cluster_of
from shared.command.arguments import command_of
from shared.command.line import main

SCALING = Path(__file__).resolve().parents[2] / "docs" / "scaling"


@pytest.fixture
def manifests():
    """The parts of the Kubernetes file: {kind: dict}."""
    with (SCALING / "kubernetes.yaml").open(encoding="utf-8") as file:
        return {each["kind"]: each for each in yaml.safe_load_all(file)}


def test_the_kubernetes_file_is_valid(manifests):
    assert list(manifests) == ["Service", "Job", "NetworkPolicy"]
    for each in manifests.values():
        kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)


def test_the_schemas_notice_a_mistake(manifests):
    manifests["Job"]["spec"]["completion"] = 2
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(
            manifests["Job"], kubernetes_validate.latest_version(), strict=True
        )


def test_the_workers_of_the_job_are_its_pods(manifests):
    job, service = manifests["Job"]["spec"], manifests["Service"]
    pod = job["template"]["spec"]
    [container] = pod["containers"]
    name, port = manifests["Job"]["metadata"]["name"], service["spec"]["ports"][0]["port"]
    assert pod["subdomain"] == service["metadata"]["name"] and job["completionMode"] == "Indexed"
    labels = job["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == labels
    assert manifests["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    pods = [f"{name}-{i}.{pod['subdomain']}:{port}" for i in range(job["completions"])]
    for index in range(job["completions"]):
        arguments = [
            each.replace("$(JOB_COMPLETION_INDEX)", str(index)) for each in container["args"]
        ]
        cluster = cluster_of("tf_vae", command_of("tf_vae", ["train", *arguments]))
        assert (list(cluster.addresses), cluster.index) == (pods, index)


def test_the_flags_of_the_slurm_script_are_accepted(capsys, tmp_path):
    path = SCALING / "slurm.sh"
    subprocess.run(["bash", "-n", str(path)], check=True)
    values = {
        "--recipe": ["post-keras"],
        "--data": ["mnist-5k"],
        "--out": [str(tmp_path / "run")],
        "--resume": [],
        "--workers": ["a:1,b:2"],
        "--worker": ["5"],  # is refused after all flags were read
    }
    script = path.read_text(encoding="utf-8")
    flags = set(re.findall(r"(?<=\s)--[a-z-]+", script[script.index("exec ") :]))
    words = [word for flag in flags for word in (flag, *values[flag])]
    assert main("tf_vae", ["train", *words]) == 2
    assert "worker 5 is not one of the 2" in capsys.readouterr().err
