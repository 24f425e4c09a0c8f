"""The manifest for Kubernetes, as far as it can be told without a cluster."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support import run, squeeze


@pytest.fixture(scope="module")
def spec(repository: Path) -> dict[str, Any]:
    text = (repository / "serving/kuberay/rayjob.yaml").read_text("utf-8")
    found: dict[str, Any] = yaml.safe_load(text)["spec"]
    return found


def pods(spec: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = spec["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def test_its_command_is_one_that_tocsin_understands(spec: dict[str, Any]) -> None:
    # A misspelt option would show only after a cluster has been paid for.
    shell, flag, line = shlex.split(spec["entrypoint"])
    assert (shell, flag) == ("sh", "-c")
    words = shlex.split(line.partition("||")[0])
    assert words[:2] == ["tocsin", "score"]
    offered = squeeze(run("score", "--help", width=200).out)
    assert all(word in offered for word in words if word.startswith("--"))


def test_its_ray_is_that_of_the_lock(spec: dict[str, Any], repository: Path) -> None:
    # Driver and workers of different versions of Ray refuse each other.
    lock = (repository / "constraints.txt").read_text("utf-8").splitlines()
    assert f"ray=={spec['rayClusterSpec']['rayVersion']}" in lock


def test_no_pod_reports_home_or_is_open_to_its_neighbours(spec: dict[str, Any]) -> None:
    assert spec["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    for pod in pods(spec):
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            variables = {item["name"]: item["value"] for item in container["env"]}
            assert variables["RAY_USAGE_STATS_ENABLED"] == "0"


def test_there_are_cores_for_the_workers_it_asks_for(spec: dict[str, Any]) -> None:
    # Else Ray would wait for machines that never come.
    words = shlex.split(shlex.split(spec["entrypoint"])[2])
    wanted = int(words[words.index("--workers") + 1])
    cores = sum(
        group["replicas"]
        * int(group["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"])
        for group in spec["rayClusterSpec"]["workerGroupSpecs"]
    )
    assert wanted <= cores
