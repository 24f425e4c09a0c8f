"""Build the Bento from our wheel; ``make bento`` calls this. It prints the Bento's folder.

It belongs to no package: it needs what only the repository has (the lock, the licence), and a user
who has the Bento needs no builder. BentoML is started as a program of its own, so that
``service.py`` of the package stays the one file that imports it.
"""

import argparse
import os
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import yaml
from packaging.requirements import Requirement

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
EXTRA = "serve"


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the Bento from a wheel of Tocsin.")
    parser.add_argument("wheel", type=Path, help="dist/tocsin-….whl")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "build" / "bento")
    options = parser.parse_args()
    print(build(options.wheel, options.out))


def build(wheel: Path, out: Path) -> Path:
    """The folder of the Bento, in a store of its own below ``out``, which is made anew."""
    version, requirements = read_wheel(wheel)
    shutil.rmtree(out, ignore_errors=True)
    context, store = out.resolve() / "context", out.resolve() / "store"
    lay_out(wheel, requirements, context)
    store.mkdir()
    # `--output tag` leaves out a banner and offers of a cloud.
    command = [sys.executable, "-m", "bentoml", "build", "--version", version, "--output", "tag"]
    # The service is imported to be described, and is only with a key file; here without a key.
    keys = context.with_name("no-keys")
    keys.touch()
    environment = {
        **{name: os.environ[name] for name in os.environ if not name.startswith("TOCSIN_SERVE_")},
        "TOCSIN_SERVE_KEYS": str(keys),
        "BENTOML_DO_NOT_TRACK": "True",  # "1" would not do: BentoML wants this word
        "BENTOML_HOME": str(store),  # else the user's own
    }
    # BentoML reads no file outside the folder that it is started in.
    subprocess.run(command, cwd=context, env=environment, stdout=subprocess.DEVNULL, check=True)
    return store / "bentos" / "tocsin" / version


def read_wheel(wheel: Path) -> tuple[str, list[str]]:
    """The version, and what the extra ``serve`` requires on this kind of machine."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode("utf-8"))
    requirements = []
    for text in metadata.get_all("Requires-Dist", []):
        requirement = Requirement(text)
        marker, requirement.marker = requirement.marker, None
        if marker and marker.evaluate({"extra": EXTRA}) and not marker.evaluate({"extra": ""}):
            requirements.append(str(requirement))
    if not requirements:
        sys.exit(f"{wheel}: has no extra {EXTRA!r}; without it the Bento could not start")
    return str(metadata["Version"]), requirements


def lay_out(wheel: Path, requirements: list[str], context: Path) -> None:
    """Fill the folder that BentoML builds from.

    The extra's requirements are spelled out, because BentoML writes "x.whl[serve]" into its
    requirements.txt as "x.whl [serve]", which pip cannot read. Named on an index instead of by its
    file, our wheel could come from a stranger.
    """
    (context / "wheels").mkdir(parents=True)
    shutil.copy(wheel, context / "wheels")
    for source in (
        *(HERE / name for name in ("service.py", "Dockerfile", "README.md")),
        *(REPOSITORY / name for name in ("constraints.txt", "LICENSE")),
    ):
        shutil.copy(source, context)
    config = yaml.safe_load((HERE / "bentofile.yaml").read_text(encoding="utf-8"))
    config["python"] |= {"wheels": [f"wheels/{wheel.name}"], "packages": requirements}
    text = yaml.safe_dump(config, sort_keys=False)
    (context / "bentofile.yaml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
