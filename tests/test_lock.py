"""``constraints.txt`` installs the same versions everywhere, from whatever index pip is told."""

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PIN = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*==[0-9][0-9a-z.]*")


def problems(lock: str) -> list[str]:
    """Every line of a lock that is neither a comment nor a plain ``name==version``."""
    lines = [line for line in lock.splitlines() if not line.startswith("#")]
    return [line for line in lines if not PIN.fullmatch(line)]


def pins(repository: Path) -> dict[str, str]:
    lines = (repository / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


@pytest.fixture(scope="module")
def lock_script(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("lock", repository / ".ci" / "lock.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_lock_holds_plain_versions_and_no_place_to_fetch_them_from(repository: Path) -> None:
    # A local build, a path or a host would install on the machine that wrote it and nowhere else.
    lock = (repository / "constraints.txt").read_text(encoding="utf-8")
    assert problems(lock) == []
    assert not re.search(r"\+cpu|file:|://| @ ", lock)


@pytest.mark.parametrize(
    "line",
    [
        "torch==2.13.0+cpu",
        "torch @ file:///wheels/torch-2.13.0-cp311.whl",
        "numpy>=2.0",
        "numpy",
        "--extra-index-url https://example.org/simple",
        "-e .",
        "numpy==2.*",
        "",
    ],
)
def test_a_lock_with_anything_else_in_it_is_refused(line: str) -> None:
    # Without this the test above might pass because it looks at nothing.
    assert problems(f"# header\nrich==15.0.0\n{line}\n") == [line]


def test_torch_is_pinned_without_saying_which_build(repository: Path) -> None:
    # "2.13.0" admits the CPU, CUDA and macOS builds alike; the index decides which one comes.
    assert pins(repository)["torch"] == "2.13.0"


def test_every_direct_dependency_is_pinned_to_a_version_that_it_allows(repository: Path) -> None:
    # A dependency added to pyproject.toml without `make lock` would float.
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for extra in extras.values() for line in extra)]
    locked = pins(repository)
    for requirement in map(Requirement, lines):
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in constraints.txt; run make lock"
        assert version in requirement.specifier, f"{requirement} but {version}; run make lock"


def test_what_pip_reports_becomes_lines_that_any_index_can_serve(lock_script: ModuleType) -> None:
    # Where the lock was made torch is "2.13.0+cpu", and names come in every spelling.
    lock = lock_script.lock([("torch", "2.13.0+cpu"), ("PyYAML", "6.0.3"), ("a_b.c", "1")])
    assert lock.splitlines()[-3:] == ["a-b-c==1", "pyyaml==6.0.3", "torch==2.13.0"]
    assert problems(lock) == []
