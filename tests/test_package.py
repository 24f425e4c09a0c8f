"""What is shipped: the wheel, the demo article, and files that name no machine of ours."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PACKAGES = {
    "tocsin_models": "models",
    "tocsin_training": "training",
    "tocsin_serving": "serving",
    "tocsin_eval": "eval",
}
DEMO = "tocsin_serving/demo/article.txt"

TEXT = {"", ".cfg", ".json", ".jsonl", ".md", ".py", ".toml", ".txt", ".yaml", ".yml"}
# Spelled in pieces, or this file would be the first to be found.
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:root|home|work|farm|opt)/|/tmp/" + "bash_jobs")


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of the working copy, built without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    built = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_every_file_of_the_four_packages_and_nothing_else(
    repository: Path, wheel: zipfile.ZipFile
) -> None:
    # Weights, schema, suites, configs and the demo article are read from the installed package: one
    # left behind works here and fails at a user's. Corpus and tests stay in the repository.
    expected = {
        path.relative_to(repository / folder).as_posix()
        for package, folder in PACKAGES.items()
        for path in (repository / folder / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    shipped = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert shipped == expected
    assert expected >= {DEMO, *(f"{package}/py.typed" for package in PACKAGES)}


def test_the_wheel_carries_the_licence_and_the_command(wheel: zipfile.ZipFile) -> None:
    # Apache-2.0, section 4: whoever redistributes gives recipients a copy of the licence.
    (licence,) = (name for name in wheel.namelist() if name.endswith("licenses/LICENSE"))
    assert wheel.read(licence).decode().lstrip().startswith("Apache License\n")
    (entries,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "tocsin = tocsin_serving.cli:main" in wheel.read(entries).decode()


def test_the_demo_article_has_what_the_demo_shows(repository: Path) -> None:
    # Offsets, boilerplate and windows are only seen where the article has something of each.
    text = (repository / "serving" / DEMO).read_text(encoding="utf-8")
    paragraphs = text.rstrip("\n").split("\n\n")
    assert "\n" not in "".join(paragraphs)
    assert not paragraphs[0].endswith(".")
    assert {"Share this article", "Sixty-one buoys"} < set(paragraphs)
    assert max(len(paragraph.split()) for paragraph in paragraphs) > 100


def sources(repository: Path) -> list[Path]:
    """Text files of the working copy; what git ignores (environments, builds, caches) left out."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git working copy, so what belongs to it is not known")
    paths = [repository / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.suffix in TEXT and path.is_file()]


def test_no_file_names_a_place_on_one_machine(repository: Path) -> None:
    # Such a path works for its author alone, and tells strangers how their machine is laid out.
    found = sources(repository)
    assert repository / "pyproject.toml" in found
    assert [
        f"{path.relative_to(repository)}:{number}"
        for path in found
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if MACHINE_PATH.search(line)
    ] == []


@pytest.mark.parametrize(
    "place", ["/ro" + "ot/.cache", "see /ho" + "me/ida/x", "'/wo" + "rk/main'"]
)
def test_a_place_on_one_machine_is_seen(place: str) -> None:
    # Without this the test above might pass because it looks for nothing.
    assert MACHINE_PATH.search(place)
