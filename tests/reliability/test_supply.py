"""Test dependencies and network use: floors, pins, audit, no telemetry, no connection."""

import importlib.metadata
import json
import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
FLOORS = {  # versions below have known vulnerabilities
    "torch": "2.10", "diffusers": "0.38", "transformers": "5.3", "datasets": "5.1", "pillow": "12.3",
    "jinja2": "3.1.6", "safetensors": "0.8",
}  # fmt: skip


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def requirements():
    groups = [project()["dependencies"], *project()["optional-dependencies"].values()]
    found = [Requirement(text) for group in groups for text in group]
    return {canonicalize_name(each.name): each.specifier for each in found if each.name != "synaug"}


def pins():
    lines = re.findall(r"^([A-Za-z0-9_.\-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in lines}


@pytest.mark.parametrize("name", FLOORS)
def test_no_range_goes_below_the_floor(name):
    (floor,) = [each.version for each in requirements()[name] if each.operator == ">="]
    assert Version(floor) >= Version(FLOORS[name])


def test_every_dependency_has_a_floor_and_a_pin_that_satisfies_it():
    pinned = pins()
    for name, specifier in requirements().items():
        assert any(each.operator == ">=" for each in specifier), name
        assert name in pinned, name
        assert pinned[name] in specifier, name


def test_every_pin_can_be_installed_on_the_oldest_allowed_python():
    """Otherwise pip tries other versions until it gives up, which takes many minutes."""
    (oldest,) = [each.version for each in SpecifierSet(project()["requires-python"]) if each.operator == ">="]
    found = {name: wanted_python(name) for name in pins()}
    assert sum(wanted is not None for wanted in found.values()) > 100
    assert not {name: str(wanted) for name, wanted in found.items() if wanted and f"{oldest}.0" not in wanted}


def wanted_python(name):
    """Return the Python versions of the installed distribution; None if it is not installed or does not declare any."""
    try:
        text = importlib.metadata.metadata(name)["Requires-Python"]
    except importlib.metadata.PackageNotFoundError:
        return None
    return SpecifierSet(text) if text else None


@pytest.mark.long
def test_no_pin_has_a_known_vulnerability():
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(ROOT / "constraints.txt"), "--no-deps"]
    done = subprocess.run([*command, "--disable-pip", "--format", "json"], capture_output=True, text=True, timeout=600)
    if not done.stdout.startswith("{"):
        pytest.skip(f"the index of vulnerabilities cannot be reached: {done.stderr.strip().splitlines()[-1:]}")
    known = {each["name"]: each["vulns"] for each in json.loads(done.stdout)["dependencies"] if each.get("vulns")}
    assert not known


REACHING = """
import importlib, pkgutil, sys
reached = []
names = ("socket.connect", "socket.getaddrinfo")
sys.addaudithook(lambda name, args: reached.append((name, args)) if name in names else None)
{action}
print("reached:", reached)
"""


def reached(action):
    command = [sys.executable, "-c", REACHING.format(action=action)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.partition("reached: ")[2].strip()


def test_importing_every_module_reaches_for_no_network():
    every = "import synaug\nfor m in pkgutil.walk_packages(synaug.__path__, 'synaug.'):\n    "
    assert reached(every + "m.name.endswith('__main__') or importlib.import_module(m.name)") == "[]"


def test_the_test_above_can_fail():
    assert "example.invalid" in reached(
        "import socket\ntry: socket.getaddrinfo('example.invalid', 80)\nexcept OSError: pass"
    )


@pytest.mark.parametrize("host", ["93.184.216.34", "example.com"])
def test_no_test_reaches_the_network(host):
    with pytest.raises(ConnectionRefusedError, match=f"A test reached for the network: '{host}'"):
        socket.create_connection((host, 80), timeout=1)
    with socket.socket() as one, pytest.raises(ConnectionRefusedError, match="A test reached for the network"):
        one.connect((host, 80))


def test_this_machine_may_be_reached():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass


def test_the_command_line_switches_telemetry_off():
    code = (
        "import os, sys\nsys.argv = ['synaug', 'methods']\nfrom synaug.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(os.environ['HF_HUB_DISABLE_TELEMETRY'], os.environ['RAY_USAGE_STATS_ENABLED'])\n"
        "from huggingface_hub import constants\nprint(constants.HF_HUB_DISABLE_TELEMETRY)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["1 0", "True"]
