"""Test that the built packages contain exactly what users need, and that the wheel works outside the checkout."""

import csv
import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_BYTES = 20_000_000

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """Return the wheel and the source distribution."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", out, ROOT], check=True, capture_output=True)
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))


def test_the_packages_are_small_and_contain_the_assets_but_no_tests_or_docs(packages):
    wheel, source = packages
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = archive.namelist()
    with tarfile.open(source) as archive:
        in_source = [name.partition("/")[2] for name in archive.getnames()]
    assert max(path.stat().st_size for path in packages) < MAX_BYTES
    for asset in ("fashion.parquet", "tiny-diffusion/unet/diffusion_pytorch_model.safetensors", "report/report.html",
                  "tiny-clip/model.safetensors", "review/review.js"):  # fmt: skip
        assert f"synaug/assets/{asset}" in in_wheel
    for face in (ROOT / "src").rglob("*.pyi"):
        assert face.relative_to(ROOT / "src").as_posix() in in_wheel
    assert {name.split("/")[0] for name in in_wheel} == {
        "synaug",
        next(n for n in in_wheel if ".dist-info" in n).split("/")[0],
    }
    assert not [name for name in in_source if name.startswith(("tests/", "docs/"))]


def test_the_installed_wheel_counts_runs_and_exports_outside_the_checkout(packages, tmp_path, photos):
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    site = next((environment / "lib").glob("python*")) / "site-packages"
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")  # reuses torch and the other libraries
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", packages[0]]
    subprocess.run(install, check=True)
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def synaug(*words):
        done = subprocess.run(
            [environment / "bin" / "synaug", *words], capture_output=True, text=True, cwd=tmp_path, env=clean
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    place = subprocess.run(
        [python, "-c", "import synaug; print(synaug.__file__)"], capture_output=True, text=True, cwd=tmp_path, env=clean
    ).stdout
    assert place.startswith(str(environment))
    assert "images" in synaug("count", str(photos))
    synaug("run", str(photos), "--out", "run", "--model", "embedded", "--target", "8", "--epochs", "2", "--folds", "0")
    assert {"plan.json", "report.html", "report.json"} <= {path.name for path in (tmp_path / "run").iterdir()}
    synaug("export", "run", "--out", "balanced")
    assert json.loads(synaug("verify", "balanced", "--json"))["problems"] == []
    synaug("export", "run", "--out", "classifier", "--classifier", "chosen")
    synaug("predict", "classifier", str(photos / "coat"), "--out", "predictions.csv")
    with open(tmp_path / "predictions.csv", newline="") as file:
        assert [row["label"] for row in csv.DictReader(file)] == ["coat"] * 12
    synaug("demo", "--quick", "--out", "demo")
    assert (tmp_path / "demo" / "report.html").is_file()
