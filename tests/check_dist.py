"""Build an sdist and a wheel, look inside, and run tests from the unpacked sdist: `make dist`.

python tests/check_dist.py [PYTEST_ARGUMENTS ...]
"""

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = ["tests/evaluation", "tests/panoptic", "tests/test_conventions.py", "tests/paper/test_page.py"]


def main(arguments: list[str]) -> int:
    """Build into dist/ and check; returns pytest's exit status."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["uv", "build", "--quiet", "--out-dir", folder, str(ROOT)], check=True, env=with_tools())
        (sdist,), (wheel,) = Path(folder).glob("*.tar.gz"), Path(folder).glob("*.whl")
        check_wheel(wheel)
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        unpacked = Path(folder) / sdist.name.removesuffix(".tar.gz")
        environment = os.environ | {"PYTHONPATH": str(unpacked / "src")}
        command = [sys.executable, "-m", "pytest", *(arguments or TESTS)]
        done = subprocess.run(command, cwd=unpacked, env=environment, check=False)
        if done.returncode == 0:
            for built in (sdist, wheel):
                target = ROOT / "dist" / built.name
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(built.read_bytes())
                print(f"dist/{built.name}: {built.stat().st_size / 1e6:.1f} MB")
        return done.returncode


def with_tools() -> dict[str, str]:
    """The environment, in which the programs next to this Python come first."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def check_wheel(wheel: Path) -> None:
    """The package and its data are inside, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    strays = [name for name in names if not name.startswith(("unipan/", "unipan-"))]
    assert strays == [], f"{wheel.name} has files outside the package: {strays[:5]}"
    source = ROOT / "src" / "unipan"
    wanted = {
        f"unipan/{path.relative_to(source).as_posix()}"
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted <= set(names), f"{wheel.name} lacks {sorted(wanted - set(names))[:5]}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
