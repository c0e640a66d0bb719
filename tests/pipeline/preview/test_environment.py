"""The block for bug reports contains everything that matters and nothing private."""

import getpass
import json
from pathlib import Path

import pytest

from synaug.pipeline.preview.environment import PACKAGES, environment, environment_block

SECRETS = {
    "HF_TOKEN": "hf_" + 34 * "a", "OPENAI_API_KEY": "sk-secret", "HTTPS_PROXY": "http://me:password@proxy:8080",
    "RAY_ADDRESS": "ray://head.internal:10001", "HF_HOME": "", "CUDA_VISIBLE_DEVICES": "0",
    "TMPDIR": "https://me:secret@host/tmp", "DATABASE_URL": "postgres://me:pw@host/db",
}  # fmt: skip


def test_versions_devices_memory_and_disk_are_in_the_block():
    content = environment()
    block = environment_block(content)
    for name in PACKAGES["needed"]:
        assert f"{name} {content['packages']['needed'][name]}" in block
    assert "device cpu" in block
    assert content["system"]["memory"] >= content["system"]["memory_available"] > 0
    assert all(free > 0 for free in content["disk"].values())


def test_no_secret_and_no_address_is_in_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "maria"))
    (tmp_path / "maria" / ".cache" / "huggingface").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "maria")
    content = environment(environ=SECRETS | {"SYNAUG_WEIGHTS": str(tmp_path / "maria" / "weights")})
    text = environment_block(content) + json.dumps(content)
    for word in ("hf_aaa", "sk-secret", "password", "secret@", "internal", "postgres", "maria"):
        assert word not in text, word
    assert content["variables"]["HF_TOKEN"] == "set"
    assert content["variables"]["SYNAUG_WEIGHTS"] == "~/weights"
    assert content["variables"]["CUDA_VISIBLE_DEVICES"] == "0"
    assert list(content["caches"]) == ["~/.cache/huggingface"]


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(PACKAGES, "optional", ("no-such-package",))
    assert "not installed: no-such-package" in environment_block(environment())


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_the_command_prints_it_without_data(synaug, words):
    done = synaug("doctor", *words)
    assert done.code == 0
    assert "torch" in done.out
    assert getpass.getuser() == "root" or str(Path.home()) not in done.out
