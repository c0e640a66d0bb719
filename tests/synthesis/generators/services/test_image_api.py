"""Test image services over real local connections."""

import io
import json
import os
import socket
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import image_server
from image_server import png, serving
from synaug.config import ApiOptions, GenerateOptions, PlanOptions, QualityOptions
from synaug.data.images.codec import Encoding
from synaug.data.manifest import from_arrays
from synaug.errors import DataError, EnvironmentFault, IncompleteError, Interrupted, OptionError
from synaug.runtime import signals, storage
from synaug.runtime.security.trust import trusting
from synaug.synthesis.execution.provenance import provenance
from synaug.synthesis.execution.worker import synthesize
from synaug.synthesis.generators.models.model_sources import is_service, model_facts
from synaug.synthesis.generators.services.image_api import load_service
from synaug.synthesis.generators.services.image_services import read_workflow
from synaug.synthesis.generators.services.paid_images import BudgetReached, PaidImages
from synaug.synthesis.planning.planner import make_plan

KEY = "sk-test-0123456789abcdef"
WORKFLOW = {
    "3": {"class_type": "KSampler", "inputs": {"seed": "{seed}", "steps": 4}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "{prompt}, sharp"}},
}


@pytest.fixture
def service():
    with serving() as running:
        yield running


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def generator(service, *, model="api:tiny", run=None, **options):
    given = {"endpoint": f"{service.address}/v1", "backoff": 0.01, "retries": 3, "timeout": 30} | options
    return load_service(model, ApiOptions(**given), run=run)


def planned(number=6):
    images = np.zeros((number + 2, 8, 8, 3), np.uint8)
    data = from_arrays(images, [0] * (number + 1) + [1], class_names=["cat", "dog"])
    return make_plan(
        data,
        options=PlanOptions(model="api:tiny"),
        generate=GenerateOptions(),
        encoding=Encoding(),
        image_size=(8, 8),
    )


def made(plan, made_by, folder):
    return synthesize(plan, made_by, folder=folder, quality=QualityOptions(gates=()))


def test_one_image_per_prompt_in_order(service):
    images = generator(service)(["a cat", "a dog"], seeds=[1, 2])
    for each, seed in zip(images, (1, 2), strict=True):
        assert np.array_equal(np.asarray(each.image), pixels(png(seed)))
    path, content = service.requests[0]
    assert path == "/v1/images/generations"
    assert content["model"] == "tiny"
    assert service.headers[0]["Authorization"] == f"Bearer {KEY}"


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)))


def test_openai_gets_no_seed_and_its_images_are_recorded_as_not_reproducible(service):
    made_by = generator(service, model="openai:gpt-image-1", parameters={"quality": "low"})
    made_by(["a cat"], seeds=[1])
    assert "seed" not in service.requests[0][1]
    assert service.requests[0][1]["quality"] == "low"
    assert made_by.about["reproducible"] == "not reproducible"


def half_an_answer(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{")
    handler.wfile.flush()
    hung_up(handler)


def hung_up(handler):
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "fault",
    [
        (429, {"error": {"message": "slow down"}}, ("Retry-After", "0")),
        (500, b"<html>oops</html>"),
        (503, b""),
        hung_up,
        half_an_answer,
        (200, b"[" * 100_000),
        (200, {"data": []}),
        (200, {"data": [{"b64_json": "@@@"}]}),
        (200, {"data": [{"b64_json": "aGFsZiBhbiBpbWFnZQ=="}]}),
        (200, {"data": [{"url": "http://169.254.169.254/secret"}]}),
        (200, [1, 2]),
    ],
)  # fmt: skip
def test_a_fault_of_the_service_is_repeated_and_leaves_the_right_image(service, fault):
    service.faults = [fault]
    (image,) = generator(service)(["a cat"], seeds=[5])
    assert np.array_equal(np.asarray(image.image), pixels(png(5)))


def test_a_request_is_repeated_if_the_service_responds_too_late(service):
    asked_again = threading.Event()

    def silent(handler):
        asked_again.wait(20)
        hung_up(handler)

    service.faults = [silent]
    service.before_answer = asked_again.set  # by the second request
    (image,) = generator(service, timeout=0.5)(["a cat"], seeds=[5])
    assert asked_again.is_set()
    assert len(service.requests) == 2
    assert np.array_equal(np.asarray(image.image), pixels(png(5)))


def test_retry_after_is_honored(service, monkeypatch):
    slept = []
    monkeypatch.setattr("synaug.synthesis.generators.services.http_client._pause", slept.append)
    service.faults = [(429, b"", ("Retry-After", "7"))]
    generator(service)(["a cat"], seeds=[5])
    assert slept == [7.0]


def test_a_service_that_stays_down_ends_with_its_name_and_without_the_key(service):
    service.faults = [(500, {"error": {"message": f"bad {KEY} \x1b[31m"}})] * 20
    with pytest.raises(EnvironmentFault, match=r"4.*HTTP 500.*\*\*\*") as error:
        generator(service)(["a cat"], seeds=[5])
    assert KEY not in str(error.value)
    assert "\x1b" not in str(error.value)


def test_a_refused_prompt_is_a_reason_and_costs_nothing(service, tmp_path):
    refusal = (400, {"error": {"code": "moderation_blocked", "message": "no"}})
    service.faults = [refusal] * 5
    plan = planned(1)
    result = made(plan, generator(service, price="0.04", max_cost="0.04"), tmp_path / "run")
    assert result.rejected == {"refused": QualityOptions().max_attempts}
    assert PaidImages(tmp_path / "run", price=Decimal("0.04"), max_cost=None).spent == 0


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ((401, {"error": {"message": "bad key"}}), EnvironmentFault, "rejects the key"),
        ((429, {"error": {"code": "insufficient_quota", "message": "broke"}}), EnvironmentFault, "no credit"),
        ((404, {"error": {"message": "no such model"}}), OptionError, "no such model"),
        ((301, b"", ("Location", "http://elsewhere")), EnvironmentFault, "redirects"),
    ],
)
def test_permanent_failures_end_at_once(service, fault, kind, words):
    service.faults = [fault] * 3
    with pytest.raises(kind, match=words):
        generator(service)(["a cat"], seeds=[5])
    assert len(service.requests) == 1


def test_a_budget_stops_at_the_cent_and_paid_images_are_in_the_run(service, tmp_path):
    plan, run = planned(10), tmp_path / "run"
    with pytest.raises(BudgetReached, match=r"0\.28 of 0\.30"):
        made(plan, generator(service, run=run, price="0.04", max_cost="0.30"), run)
    assert len(service.charged) == 7  # 8 would cost 0.32
    assert len(provenance(plan, run)) == 7
    result = made(plan, generator(service, run=run, price="0.04", max_cost="0.40"), run)
    assert result.accepted == 10
    assert len(service.charged) == 10
    assert issubclass(BudgetReached, IncompleteError)


KILLED = """
import os, sys, threading
from pathlib import Path
import test_image_api as t
class Service: address = {address!r}
run = Path(sys.argv[1])
t.made(t.planned(8), t.generator(Service, run=run, concurrency=2), run)
"""


def test_a_run_that_is_killed_again_and_again_pays_for_no_image_twice(service, tmp_path):
    run, script = tmp_path / "run", tmp_path / "killed.py"
    script.write_text(KILLED.format(folder=str(Path(__file__).parents[3]), address=service.address))
    paths = (Path(storage.__file__).parents[2], Path(__file__).parent, Path(image_server.__file__).parent)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    for kill_at in (1, 3, 5, None):  # number of answers after which the process is killed
        process = subprocess.Popen([sys.executable, script, run], env=environment, stderr=subprocess.PIPE)
        seen = []

        def kill(process=process, seen=seen, kill_at=kill_at):
            seen.append(1)
            if kill_at is not None and len(seen) >= kill_at:
                process.kill()

        service.before_answer = kill
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    assert len(service.charged) == 8
    assert len(provenance(planned(8), run)) == 8


def test_a_signal_keeps_paid_images(service, tmp_path):
    plan, run = planned(6), tmp_path / "run"
    service.before_answer = signals.request
    try:
        with pytest.raises(Interrupted):
            made(plan, generator(service, run=run, concurrency=1), run)
    finally:
        signals._requested.clear()
    service.before_answer = lambda: None
    paid = len(service.charged)
    assert made(plan, generator(service, run=run), run).accepted == 6
    assert paid >= 1
    assert len(service.charged) == 6


def test_no_file_of_a_run_contains_the_key(service, tmp_path):
    run = tmp_path / "run"
    made(planned(3), generator(service, run=run, price="0.01"), run)
    files = [path for path in run.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_paid_images_are_removed_once_the_run_has_them(service, tmp_path):
    run = tmp_path / "run"
    made(planned(40), generator(service, run=run, concurrency=2), run)
    kept = [path for path in (run / "paid").iterdir() if len(path.name) == 64]
    assert len(kept) <= 8  # the last two batches


def test_requests_keep_to_the_rate(service, monkeypatch):
    waits = []
    monkeypatch.setattr("synaug.synthesis.generators.services.http_client._pause", waits.append)
    generator(service, requests_per_minute=60, concurrency=1)(["a"] * 4, seeds=range(4))
    assert [round(wait) for wait in waits] == [0, 1, 2, 3]


def test_comfyui_fills_the_workflow_and_fetches_the_image(service, tmp_path):
    storage.write_json(tmp_path / "flow.json", WORKFLOW)
    made_by = generator(service, model="comfyui:mine", endpoint=service.address, workflow=str(tmp_path / "flow.json"))
    (image,) = made_by(['a "quoted" cat'], seeds=[11])
    sent = service.requests[0][1]["prompt"]
    assert sent["6"]["inputs"]["text"] == 'a "quoted" cat, sharp'
    assert sent["3"]["inputs"]["seed"] == 11
    assert np.array_equal(np.asarray(image.image), pixels(png(11)))


@pytest.mark.parametrize("content", ["", "[]", '{"1": {"inputs": {}}}', '{"nodes": [], "links": []}'])
def test_a_file_that_is_not_a_workflow_is_refused(tmp_path, content):
    (tmp_path / "flow.json").write_text(content)
    with pytest.raises((DataError, OptionError)):
        read_workflow(tmp_path / "flow.json")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"endpoint": "ftp://host/v1"}, "http or https"),
        ({"endpoint": "https://me:secret@host/v1"}, "must not contain a user"),
        ({"endpoint": "http://example.com/v1"}, "unencrypted"),
        ({"endpoint": None}, "needs the address"),
    ],
)
def test_an_endpoint_that_is_unsafe_or_missing_is_refused(options, words):
    with pytest.raises(OptionError, match=words) as error:
        load_service("api:tiny", ApiOptions(**options))
    assert "secret" not in str(error.value)


def test_a_missing_key_names_its_variable(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(EnvironmentFault, match="OPENAI_API_KEY"):
        load_service("openai:gpt-image-1", ApiOptions())


def test_names_of_services():
    assert all(map(is_service, ("openai:a", "api:b/c", "comfyui:d")))
    assert not any(map(is_service, ("openai:", "owner/name", "embedded", "http:x")))
    assert model_facts("openai:a")["model"] == "openai:a"


def test_a_service_starts_from_no_image(service):
    with pytest.raises(OptionError, match="text only"):
        generator(service)(["a"], seeds=[1], images=[object()])


def test_two_processes_share_one_budget(tmp_path):
    first, second = (PaidImages(tmp_path, price=Decimal("0.5"), max_cost=Decimal("1.0")) for _ in range(2))
    first.reserve("a")
    second.reserve("b")
    with pytest.raises(BudgetReached):
        first.reserve("c")
    second.release("b")
    first.reserve("c")
    first.reserve("a")  # already counted
    assert first.spent == Decimal("1.0")


def test_a_whole_run_from_the_command_line(service, synaug, photos, tmp_path):
    recipe = tmp_path / "service.yaml"
    recipe.write_text(
        "plan: {model: 'api:tiny', target: 14}\nquality: {gates: [broken]}\n"
        f"api: {{endpoint: '{service.address}/v1', price: 0.04, max_cost: 1.0}}\n"
    )
    planned_run = synaug("plan", photos, "--recipe", recipe, "--out", tmp_path / "run")
    assert planned_run.code == 0, planned_run.err
    assert "about 0.52" in planned_run.out
    assert "the budget is 1.00" in planned_run.out
    done = synaug("generate", tmp_path / "run")
    assert done.code == 0, done.err
    lock = json.loads((tmp_path / "run" / "synaug.lock.json").read_text())
    assert lock["model"]["model"] == "api:tiny"
    assert KEY not in planned_run.out + planned_run.err + done.out + done.err


# ---------------------------------------------------------------- a key goes only where a person sends it


@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "SOMETHING_ELSE"])
@pytest.mark.parametrize("endpoint", ["https://evil.example/v1", "https://api.openai.com.evil.example/v1"])
@pytest.mark.parametrize("model", ["openai:gpt-image-1", "api:tiny"])
def test_a_host_that_only_a_recipe_names_gets_no_key(monkeypatch, variable, endpoint, model):
    monkeypatch.setenv(variable, "secret-value")
    options = ApiOptions(endpoint=endpoint, key_variable=variable)
    host = endpoint.split("/")[2]
    for trusted in ((), ("https",), ("https://other.example",), (endpoint.replace("evil", "good"),), ("evil",)):
        with (
            trusting(*trusted),
            pytest.raises(OptionError, match=rf"{variable} would be sent.*--trust {host}$") as error,
        ):
            load_service(model, options)
        assert "secret-value" not in str(error.value)
    with trusting(host.upper()):
        load_service(model, options)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9/v1", "http://localhost:9", "https://API.openai.com/v1"])
def test_this_machine_and_the_service_that_the_key_is_of_need_no_confirmation(monkeypatch, endpoint):
    monkeypatch.setenv("OPENAI_API_KEY", "secret-value")
    load_service("api:tiny", ApiOptions(endpoint=endpoint))


def test_without_a_key_any_host_may_be_called(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    load_service("api:tiny", ApiOptions(endpoint="https://images.example/v1"))


def test_generate_requires_confirmation_before_it_sends_a_key(synaug, photos, tmp_path, monkeypatch):
    monkeypatch.setenv("MY_SECRET", "secret-value")
    (tmp_path / "r.yaml").write_text(
        "plan: {model: 'api:tiny', target: 30}\napi: {endpoint: 'https://evil.example/v1', key_variable: MY_SECRET}\n"
    )
    for command in (("plan", photos, "--out", tmp_path / "run"), ("generate", tmp_path / "run")):
        done = synaug(*command, *(("--recipe", tmp_path / "r.yaml") if command[0] == "plan" else ()))
        assert (done.code, "secret-value" in done.out + done.err) == (2 if command[0] == "generate" else 0, False)
    assert "--trust evil.example" in done.err
