"""Whole runs with a service on the command line: the budget to the cent, kills, the key, negative prompts."""

import io
import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image

from image_server import serving
from synaug.config import GenerateOptions
from synaug.errors import OptionError
from synaug.recipes import make_recipe
from synaug.runtime import storage
from synaug.synthesis.generators import load_generator
from synaug.synthesis.generators.models import CLIP, find_model
from synaug.synthesis.quality.class_scorers import clip_scorer

KEY = "sk-test-0123456789abcdef"


@pytest.fixture
def service():
    with serving() as running:
        yield running


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def planned(synaug, photos, service, out, *more, target=12, price="0.04"):
    done = synaug(
        "plan", photos, "--model", "api:tiny", "--endpoint", f"{service.address}/v1", "--target", target, "--out", out,
        "--set", f"api.price={price}", "--set", "quality.gates=[broken]", "--set", "api.backoff=0.01",
        "--set", "plan.cap=10", *more,
    )  # fmt: skip
    assert done.code == 0, done.err
    return done


def attempts(run):
    lines = [json.loads(line) for path in (run / "journal").glob("worker*") for line in path.read_text().splitlines()]
    return [line for line in lines if line["kind"] == "attempt"]


def wanted(run):
    return sum(cell["num_to_generate"] for cell in json.loads((run / "plan.json").read_text())["cells"])


def test_the_budget_stops_at_the_cent_and_can_be_raised(synaug, photos, service, tmp_path):
    run = tmp_path / "run"
    shown = planned(synaug, photos, service, run, "--set", "api.max_cost=0.19")  # of 4 images and 3 cents
    number = wanted(run)
    assert number > 5
    assert f"about {number * 0.04:.2f}" in shown.out
    assert "the budget is 0.19" in shown.out
    stopped = synaug("generate", run)
    assert (stopped.code, len(service.charged)) == (3, 4)
    assert "0.16 of 0.19" in stopped.err
    assert synaug("generate", run, "--set", "api.max_cost=0.1999").code == 3
    assert len(service.charged) == 4
    assert synaug("generate", run, "--set", "api.max_cost=0.20").code == 3
    assert len(service.charged) == 5
    assert synaug("generate", run, "--set", f"api.max_cost={number * 4 / 100}").code == 0
    assert (len(service.charged), len(attempts(run))) == (number, number)


def test_the_embedded_pipeline_behind_a_faulty_service_fills_a_run(synaug, photos, service, tmp_path):
    generator, lock = load_generator("embedded", GenerateOptions()), threading.Lock()

    def drawn(prompt, seed):
        with lock:
            (made,) = generator([prompt], seeds=[seed])
        buffer = io.BytesIO()
        getattr(made, "image", made).resize((64, 64)).save(buffer, "PNG")  # not the size of the data
        return buffer.getvalue()

    service.draw = drawn
    service.faults = [
        (429, {"error": {"message": "slow down"}}, ("Retry-After", "0")),
        (500, b"oops"),
        (200, b'{"data": [{"b64_js'),
        (200, {"data": [{"b64_json": "no image"}]}),
    ]
    run = tmp_path / "run"
    options = ("quality.gates=[broken,noise,off_class,copy]", "api.retries=6")
    planned(synaug, photos, service, run, *(word for option in options for word in ("--set", option)))
    done = synaug("generate", run)
    assert done.code == 0, done.err
    assert not service.faults
    made = attempts(run)
    accepted = [line for line in made if line["verdict"] == "accepted"]
    assert len(accepted) == wanted(run)
    with Image.open(run / accepted[0]["path"]) as image:
        assert image.size == (28, 28)
    captions = ["a photo of a coat", "a photo of an ankle boot"]
    scorer = clip_scorer(find_model("embedded", layout=CLIP), captions, device="cpu")
    found = [scorer([Image.open(run / line["path"])]).argmax() for line in accepted]
    expected = [("coat", "ankle boot").index(line["cell"]) for line in accepted]
    assert sum(a == b for a, b in zip(found, expected, strict=True)) >= 0.8 * len(accepted)


def test_timing_a_service_is_refused_before_anything_is_paid(synaug, photos, service, tmp_path):
    done = synaug(
        "plan", photos, "--model", "api:tiny", "--endpoint", f"{service.address}/v1", "--out", tmp_path / "run",
        "--measure",
    )  # fmt: skip
    assert (done.code, service.requests) == (2, [])
    assert "synaug try" in done.err
    shown = planned(synaug, photos, service, tmp_path / "run", price="0")
    assert "see the terms of the service" in shown.out
    assert "api.price" in shown.out
    assert "--measure" not in shown.out


def test_a_budget_without_a_price_is_refused_since_it_would_limit_nothing(synaug, photos, tmp_path):
    done = synaug("plan", photos, "--model", "openai:x", "--set", "api.max_cost=2", "--out", tmp_path / "run")
    assert done.code == 2
    assert "api.price" in done.err
    assert "{" not in done.err


def test_the_key_is_in_no_file_and_no_output(synaug, photos, service, tmp_path):
    run = tmp_path / "run"
    outputs = [planned(synaug, photos, service, run)]
    service.faults = [(400, {"error": {"message": f"bad {KEY}", "code": KEY}})]
    outputs.append(synaug("generate", run))
    service.faults = [(401, {"error": {"message": KEY}})]
    outputs.append(synaug("generate", run))
    service.faults = [(429, {"error": {"message": KEY}})] * 40
    outputs.append(synaug("generate", run, "--set", "api.retries=1"))
    service.faults = []
    outputs += [synaug("generate", run), synaug("status", run)]
    outputs.append(synaug("generate", run, "--set", f"api.key_variable={KEY}"))
    assert [each.code for each in outputs] == [0, 2, 5, 5, 0, 0, 2]
    assert service.headers[-1]["Authorization"] == f"Bearer {KEY}"
    assert not any(KEY in each.out + each.err for each in outputs)
    files = [path for path in run.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


@pytest.mark.parametrize("name", ["api_key", "Authorization", "token"])
def test_a_key_among_the_parameters_is_refused_without_repeating_it(name):
    with pytest.raises(OptionError, match="key_variable") as error:
        make_recipe({"api": {"parameters": {name: KEY}}})
    assert KEY not in str(error.value)


def test_negative_prompts_reach_the_services_that_take_them(synaug, photos, service, tmp_path):
    run = tmp_path / "run"
    planned(synaug, photos, service, run, "--set", "plan.negative_prompt=blurry")
    assert synaug("generate", run).code == 0
    assert {request[1]["negative_prompt"] for request in service.requests} == {"blurry"}
    refused = synaug(
        "run", photos, "--model", "openai:gpt-image-1", "--out", tmp_path / "other",
        "--set", "plan.negative_prompt=blurry",
    )  # fmt: skip
    assert (refused.code, "takes no negative prompt" in refused.err) == (2, True)
    flow, told = tmp_path / "flow.json", ("--endpoint", service.address, "--out", tmp_path / "comfy")
    nodes = {
        "3": {"class_type": "KSampler", "inputs": {"seed": "{seed}"}},
        "6": {"class_type": "T", "inputs": {"t": "{prompt}"}},
    }
    storage.write_json(flow, nodes)
    comfy = ("plan", photos, "--model", "comfyui:mine", *told, "--set", f"api.workflow={flow}", "--target", 7)
    assert synaug(*comfy, "--set", "plan.negative_prompt=dark", "--set", "quality.gates=[broken]").code == 0
    assert "Write {negative_prompt} into the workflow" in synaug("generate", tmp_path / "comfy").err
    storage.write_json(flow, nodes | {"7": {"class_type": "T", "inputs": {"t": "{negative_prompt}"}}})
    done = synaug("generate", tmp_path / "comfy")
    assert done.code == 0, done.err
    assert service.requests[-1][1]["prompt"]["7"]["inputs"]["t"] == "dark"


@pytest.mark.long
def test_a_run_killed_twenty_times_at_any_moment_pays_for_no_image_twice(synaug, photos, service, tmp_path):
    run = tmp_path / "run"
    planned(synaug, photos, service, run, "--set", "api.concurrency=3", "--set", "plan.cap=null", target=60)
    number = wanted(run)
    environment = os.environ | {"PYTHONPATH": str(Path(storage.__file__).parents[2])}
    moments, kills = random.Random(0), 0
    while True:
        command = [sys.executable, "-m", "synaug", "generate", run]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
        after, answered = moments.randint(1, 9), []

        def kill(process=process, after=after, answered=answered, goes_on=kills < 20):
            answered.append(1)
            if goes_on and len(answered) >= after:
                process.kill()

        service.before_answer = kill
        _, err = process.communicate(timeout=200)
        if process.returncode == 0:
            break
        assert process.returncode == -9, err.decode()
        kills += 1
    assert kills == 20
    assert number == len(service.charged) == len({each["id"] for each in attempts(run)})
    ledger = [json.loads(line) for line in (run / "paid" / "ledger.jsonl").read_text().splitlines()]
    assert len({line["key"] for line in ledger}) == number  # every paid request is counted once
    assert len(service.requests) <= number + 3 * kills  # only requests under way are repeated
