"""Test a few images per class before the cost of hundreds."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from image_server import serving
from synaug.errors import OptionError
from synaug.pipeline.preview.try_model import PER_CLASS, prepare_trial, traffic_light, try_model
from synaug.runtime import storage

KEY = "sk-test-0123456789abcdef"
DRAW = """
import numpy as np
from PIL import Image

def draw(prompts, *, seeds):
    return [Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 16), np.uint8)) for seed in seeds]
"""


@pytest.fixture
def service(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving() as running:
        yield running


def of_service(service, photos, out, *more):
    return (
        "try", photos, "--model", "api:tiny", "--endpoint", f"{service.address}/v1", "--out", out,
        "--set", "api.price=0.04", "--set", "api.backoff=0.01", *more,
    )  # fmt: skip


@pytest.fixture
def colors(tmp_path):
    """Thirty red and thirty blue images, and four green ones."""
    rng = np.random.default_rng(0)
    for name, color, number in (("red", (200, 60, 60), 30), ("blue", (60, 60, 200), 30), ("green", (60, 200, 60), 4)):
        storage.make_folder(tmp_path / "data" / name)
        for image in range(number):
            values = np.clip(rng.normal(color, 30, (16, 16, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(values).save(tmp_path / "data" / name / f"{image}.png")
    return tmp_path / "data"


def always_red(prompts, *, seeds):
    """A stand-in for a model that draws one class for every prompt."""
    rng = np.random.default_rng(1)
    values = np.clip(rng.normal((200, 60, 60), 30, (len(prompts), 16, 16, 3)), 0, 255).astype(np.uint8)
    return [Image.fromarray(each) for each in values]


def test_each_class_gets_a_light_and_a_page(colors, recipe, tmp_path):
    content = try_model(prepare_trial(colors, recipe, tmp_path / "try"), generator=always_red)
    assert {name: row["light"] for name, row in content["classes"].items()} == {
        "red": "green", "blue": "red", "green": "unknown",
    }  # fmt: skip
    assert all(row["of"] == PER_CLASS for row in content["classes"].values())
    assert "red" in content["classes"]["red"]["best_prompt"]
    assert len(list((tmp_path / "try").glob("class-*.html"))) == 3


def test_a_folder_that_holds_something_is_left_alone(colors, recipe, tmp_path):
    storage.make_folder(tmp_path / "try" / "mine")
    with pytest.raises(OptionError):
        prepare_trial(colors, recipe, tmp_path / "try")


def test_the_light_follows_the_share_that_is_recognized():
    lights = [traffic_light(number, 4, num_real=40, recall=0.9) for number in range(5)]
    assert lights == ["red", "red", "yellow", "green", "green"]
    assert traffic_light(4, 4, num_real=40, recall=0.3) == "unknown"


def test_the_command_tries_the_embedded_model(photos, synaug, tmp_path):
    printed = synaug("try", photos, "--model", "embedded", "--out", tmp_path / "try")
    assert printed.code == 0, printed.err
    assert "ankle boot" in printed.out
    assert (tmp_path / "try" / "index.html").is_file()
    assert "decisions.csv" not in (tmp_path / "try" / "index.html").read_text()


def test_a_custom_generator_is_tried_if_it_is_named(photos, synaug, tmp_path):
    code, recipe = tmp_path / "draw.py", tmp_path / "drawn.yaml"
    storage.write_text(code, DRAW)
    storage.write_text(recipe, f"generate: {{generator: '{code}:draw'}}\n")
    done = synaug("try", photos, "--generator", f"{code}:draw", "--out", tmp_path / "typed", "--json")
    assert done.code == 0, done.err
    content = json.loads(done.out)
    assert "draw" in content["model"]
    assert content["spent"] is None
    refused = synaug("try", photos, "--recipe", recipe, "--out", tmp_path / "untrusted")
    assert (refused.code, "--trust" in refused.err) == (2, True)
    assert synaug("try", photos, "--recipe", recipe, "--trust", code, "--out", tmp_path / "trusted").code == 0


def test_a_service_is_tried_with_its_cost_shown_before(photos, synaug, service, tmp_path):
    out = tmp_path / "try"
    shown = synaug(*of_service(service, photos, out, "--dry-run", "--json"))
    assert json.loads(shown.out)["cost"] == {"price": 0.04, "images": 0.48, "spent": 0.0, "budget": None}
    assert (out.exists(), service.requests) == (False, [])
    service.faults = [(400, {"error": {"code": "content_policy_violation", "message": "no"}})]
    done = synaug(*of_service(service, photos, out, "--set", "api.max_cost=0.48"))
    assert done.code == 0, done.err
    assert "about 0.48 (12 images at 0.04); the budget is 0.48" in done.err
    assert "Spent: 0.44" in done.out
    assert "1 refused" in done.out
    assert len(service.charged) == 11
    assert not [path for path in out.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_a_trial_that_the_budget_does_not_allow_pays_for_nothing(photos, synaug, service, tmp_path):
    stopped = synaug(*of_service(service, photos, tmp_path / "try", "--set", "api.max_cost=0.47"))
    assert (stopped.code, service.requests) == (3, [])
    assert "0.48" in stopped.err
    assert synaug(*of_service(service, photos, tmp_path / "try", "--set", "api.max_cost=0.48")).code == 0


def test_a_killed_trial_pays_for_no_image_twice(photos, service, tmp_path):
    command = [sys.executable, "-m", "synaug", *map(str, of_service(service, photos, tmp_path / "try"))]
    environment = os.environ | {"PYTHONPATH": str(Path(storage.__file__).parents[2])}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    answered = []

    def kill():
        answered.append(1)
        if len(answered) == 10:
            process.send_signal(signal.SIGKILL)

    service.before_answer = kill
    assert process.wait(timeout=120) == -signal.SIGKILL
    service.before_answer = lambda: None
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert again.returncode == 0, again.stderr
    assert len(service.charged) == 12
    assert "Spent: 0.48" in again.stdout


def test_prompts_of_a_file_and_their_negative_prompts_reach_the_generator(colors, recipe, tmp_path):
    rows = "class,prompt,negative_prompt\nred,a red wall,dark\nblue,a blue wall,\ngreen,a green wall,\n"
    storage.write_text(tmp_path / "prompts.csv", rows)
    changed = recipe.model_copy(
        update={"plan": recipe.plan.model_copy(update={"prompts": str(tmp_path / "prompts.csv")})}
    )
    seen = []

    def draw(prompts, *, seeds, negative_prompts):
        seen.extend(zip(prompts, negative_prompts, strict=True))
        return always_red(prompts, seeds=seeds)

    try_model(prepare_trial(colors, changed, tmp_path / "try"), generator=draw)
    assert set(seen) == {("a red wall", "dark"), ("a blue wall", ""), ("a green wall", "")}
