"""Writes ``constraints.txt``: the version of every package that a full ``.venv`` holds.

pip resolves the project with all its extras in the interpreter that runs this script and reports
the result without installing it, so nothing left over in an environment can slip into the lock.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Chosen by hand: without a pin pip takes the newest torch, and on Linux several gigabytes of CUDA
# packages with it. The plain version lets any build in: CPU, CUDA or Apple's.
TORCH = "torch==2.13.0"

HEADER = f"""\
# Made by `make lock` on Python {sys.version_info.major}.{sys.version_info.minor}; do not edit.
# The versions `make` installs, read by `pip install -c constraints.txt`. CONTRIBUTING.md says more.
"""


def resolve() -> list[tuple[str, str]]:
    """Name and version of every package the project needs with all extras, itself left out."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"]
        command += ["--ignore-installed", "--report", str(report), TORCH]
        subprocess.run([*command, "-e", ".[serve,training,eval,cluster,dev]"], cwd=ROOT, check=True)
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    packages = [(item["metadata"]["name"], item["metadata"]["version"]) for item in found]
    return [package for package in packages if package[0] != "tocsin"]


def lock(packages: list[tuple[str, str]]) -> str:
    """One ``name==version`` a line, sorted: names normalised (PEP 503), no local part (+cpu)."""
    lines = [
        f"{re.sub(r'[-_.]+', '-', name).lower()}=={version.partition('+')[0]}"
        for name, version in packages
    ]
    return HEADER + "".join(f"{line}\n" for line in sorted(lines))


if __name__ == "__main__":
    (ROOT / "constraints.txt").write_text(lock(resolve()), encoding="utf-8")
