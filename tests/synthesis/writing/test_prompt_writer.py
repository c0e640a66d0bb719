"""Prompts by language models: a real small one made on the spot, and a service on this machine with every fault."""

import json
import os
import time
from collections import Counter

import pytest

from image_server import serving
from synaug.errors import EnvironmentFault, IncompleteError, OptionError
from synaug.pipeline.prompts.write_prompts import check_written, write_prompt_file
from synaug.recipes import make_recipe
from synaug.runtime import signals
from synaug.synthesis.planning.prompting.prompt_file import read_prompts

KEY = "sk-test-0123456789abcdef"
PLACES = ["on a table", "on grass"]


@pytest.fixture
def service():
    with serving() as running:
        running.write = answer
        yield running


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def answer(content):
    """Write captions as an obedient model would: numbered, with an introduction, one of them bad."""
    asked = content["messages"][-1]["content"]
    name = next(name for name in ("ankle boot", "coat", "bag") if f"one {name}" in asked)
    said = next((place for place in PLACES if place in asked), "")
    colors = ("red", "blue", "old", "small", "large", "torn", "wet", "new", "green", "gray", "dark", "pale")
    seed = content["seed"]
    body = [f"{i + 1}. a {color} {name} number {seed % 997} {said}" for i, color in enumerate(colors)]
    return "\n".join([f"Sure, here are captions of a {name}:", *body, "13. a lamp"])


def recipe_for(service, **more):
    api = {"endpoint": f"{service.address}/v1", "backoff": 0.01, "retries": 3, "timeout": 30}
    return make_recipe({"api": api, "plan": {"spread": {"place": PLACES}}} | more)


def written(service, photos, out, *, per_class=7, model="tiny", **more):
    return write_prompt_file(photos, out, recipe_for(service, **more), model=model, per_class=per_class)


def test_a_service_writes_a_file_with_phrases_in_turn(service, photos, tmp_path):
    out = tmp_path / "prompts.csv"
    content = written(service, photos, out)
    rows = read_prompts(out)
    assert content["prompts"] == {"ankle boot": 7, "bag": 7, "coat": 7}
    assert content["missing"] == {}
    assert content["spread"]["coat"]["place"] == {"on a table": 4, "on grass": 3}
    assert all(row.class_name in row.prompt and dict(row.phrases)["place"] in row.prompt for row in rows)
    assert len({row.prompt for row in rows}) == 21
    header, first, *_ = out.read_text().splitlines()
    assert header == "class,prompt,spread.place,model,revision,date"
    assert ",tiny-2026,fp_1,20" in first
    assert content["rejected"]["coat"]["instruction"] >= 1
    assert content["rejected"]["coat"]["no_class"] >= 1
    assert [path.name for path in tmp_path.iterdir()] == ["prompts.csv"]


def test_a_writer_recovers_from_faults_of_the_service(service, photos, tmp_path):
    service.faults = [
        (429, {"error": {"message": "slow down"}}, ("Retry-After", "0.01")),
        (500, b"<html>"),
        (200, b"[" * 100_000),
        (200, {"choices": []}),
        (503, b""),
    ]
    assert written(service, photos, tmp_path / "p.csv")["missing"] == {}


@pytest.mark.parametrize("body", [b"not JSON", b"{}", b"[1]", b'{"choices": [{"message": {"content": 7}}]}', b"null"])
def test_a_service_of_another_protocol_is_an_error(service, photos, tmp_path, body):
    service.faults = [(200, body)] * 9
    with pytest.raises(EnvironmentFault, match="--endpoint"):
        written(service, photos, tmp_path / "p.csv")


@pytest.mark.parametrize(
    ("status", "error"), [(401, EnvironmentFault), (404, OptionError), (400, OptionError), (500, EnvironmentFault)]
)
def test_a_refusal_names_the_service_and_not_the_key(service, photos, tmp_path, status, error):
    service.faults = [(status, {"error": {"message": f"bad key {KEY}"}})] * 9
    with pytest.raises(error, match="chat service") as raised:
        written(service, photos, tmp_path / "p.csv")
    assert KEY not in str(raised.value)


def test_a_timeout_is_repeated(service, photos, tmp_path):
    waits = [1.0]
    service.before_answer = lambda: time.sleep(waits.pop() if waits else 0)
    recipe = recipe_for(service).model_dump()
    recipe["api"]["timeout"] = 0.3
    content = write_prompt_file(photos, tmp_path / "p.csv", make_recipe(recipe), model="tiny", per_class=2)
    assert content["missing"] == {}


def test_a_model_that_writes_nothing_usable_ends_with_the_reason(service, photos, tmp_path):
    out = tmp_path / "p.csv"
    service.write = lambda content: "I cannot help with coats." if "one coat" in str(content) else answer(content)
    content = written(service, photos, out, per_class=2)
    assert content["missing"] == {"coat": 2}
    assert {row.class_name for row in read_prompts(out)} == {"ankle boot", "bag"}
    with pytest.raises(IncompleteError, match="'coat'"):
        check_written(content)


def test_an_interrupted_writer_repeats_no_question(service, photos, tmp_path):
    whole, out = tmp_path / "whole.csv", tmp_path / "p.csv"
    written(service, photos, whole)
    asked = [request[1]["messages"] for request in service.requests]
    service.requests.clear()
    for _ in range(len(asked)):
        service.before_answer = signals.request
        try:
            written(service, photos, out)
        except signals.Interrupted:
            continue
        finally:
            signals._requested.clear()
    service.before_answer = lambda: None
    if not out.exists():
        written(service, photos, out)
    assert [request[1]["messages"] for request in service.requests] == asked
    assert out.read_text() == whole.read_text()


def test_an_unfinished_file_of_other_options_is_not_mixed(service, photos, tmp_path):
    service.faults = [(400, {"error": {"message": "no"}})]
    with pytest.raises(OptionError):
        written(service, photos, tmp_path / "p.csv")
    with pytest.raises(OptionError, match="other options"):
        written(service, photos, tmp_path / "p.csv", per_class=9)


def test_images_are_described_first_and_only_if_wanted(service, photos, tmp_path):
    def described(content):
        parts = content["messages"][-1]["content"]
        return "Gray, from the side.\x1b[2J" if isinstance(parts, list) else answer(content)

    service.write = described
    recipe = recipe_for(service)
    write_prompt_file(photos, tmp_path / "p.csv", recipe, model="tiny", per_class=2, describe=2)
    first, second = (request[1]["messages"][-1]["content"] for request in service.requests[:2])
    assert [part["type"] for part in first] == ["text", "image_url", "image_url"]
    assert first[1]["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert "Gray, from the side." in second
    assert "\x1b" not in second
    service.requests.clear()
    written(service, photos, tmp_path / "q.csv")
    assert all(isinstance(request[1]["messages"][-1]["content"], str) for request in service.requests)


def test_the_command_line_writes_plans_and_keeps_the_key_to_itself(service, synaug, photos, tmp_path):
    service.write = lambda content: answer(content) + f"\na coat with {KEY}\na bag with {content['messages'][0]}"
    out, run = tmp_path / "p.csv", tmp_path / "run"
    told = ("--endpoint", f"{service.address}/v1", "--spread", "place=on a table|on grass")
    done = synaug("prompts", photos, "--writer", "tiny", *told, "--per-class", 6, "--out", out)
    assert done.code == 0, done.err
    assert "images by place" not in done.err
    assert service.headers[0]["Authorization"] == f"Bearer {KEY}"
    planned = synaug("plan", photos, "--model", "embedded", "--prompts", out, "--out", run, "--json")
    assert planned.code == 0, planned.err
    counts = json.loads(planned.out)["spread"]["ankle boot"]["place"]
    assert max(counts.values()) - min(counts.values()) <= 1
    printed = done.out + done.err + planned.out + planned.err
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert KEY not in printed
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
    again = synaug("prompts", photos, "--writer", "tiny", *told, "--out", out)
    assert (again.code, "somebody may have edited it" in again.err) == (2, True)


@pytest.mark.parametrize("more", [{"KEY": "k", "describe": 0}, {"KEY": "", "describe": 1}, {"KEY": "k", "describe": 1}])
def test_a_recipe_alone_sends_neither_a_key_nor_images_to_a_host(synaug, photos, tmp_path, monkeypatch, more):
    (tmp_path / "r.yaml").write_text('api: {endpoint: "https://evil.example/v1", key_variable: KEY}')
    monkeypatch.setenv("KEY", more["KEY"])
    asked = ("prompts", photos, "--writer", "tiny", "--recipe", tmp_path / "r.yaml", "--describe", more["describe"])
    done = synaug(*asked, "--out", tmp_path / "p.csv")
    assert (done.code, "--trust evil.example" in done.err) == (2, True), done.err


# ---------------------------------------------------------------- a model on this machine


def test_a_local_model_writes_prompts_that_a_plan_uses(language_model, synaug, photos, tmp_path):
    first, second, run = tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "run"
    for out in (first, second):
        done = synaug("prompts", photos, "--writer", language_model, "--per-class", 3, "--out", out)
        assert done.code == 0, done.err
    assert first.read_text() == second.read_text()  # the seed decides it
    rows = read_prompts(first)
    assert Counter(row.class_name for row in rows) == {"ankle boot": 3, "bag": 3, "coat": 3}
    assert all(row.class_name in row.prompt for row in rows)
    planned = synaug("plan", photos, "--model", "embedded", "--prompts", first, "--out", run)
    assert planned.code == 0, planned.err


def test_a_folder_without_a_language_model_and_a_model_without_vision_are_named(
    language_model, photos, tmp_path, synaug
):
    out = tmp_path / "p.csv"
    missing = synaug("prompts", photos, "--writer", tmp_path / "nowhere", "--out", out)
    assert (missing.code, out.exists()) == (5, False)
    blind = synaug("prompts", photos, "--writer", language_model, "--describe", 1, "--out", out)
    assert (blind.code, "does not accept images" in blind.err) == (2, True)
    assert os.environ["HF_HUB_OFFLINE"] == "1"


@pytest.fixture(scope="session")
def vision_model(tmp_path_factory):
    """A small LLaVA of random weights."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("vision") / "tiny-llava"
    words = ["<unk>", "<end>", "<image>", "USER:", "ASSISTANT:", *"abcdefghijklmnopqrstuvwxyz"]
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", eos_token="<end>", pad_token="<end>",
        additional_special_tokens=["<image>"],
    )  # fmt: skip
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.LlavaConfig(
            vision_config=transformers.CLIPVisionConfig(**small, image_size=32, patch_size=8),
            text_config=transformers.LlamaConfig(**small, vocab_size=len(words), max_position_embeddings=256),
            image_token_index=2,
        )
        transformers.LlavaForConditionalGeneration(config).save_pretrained(folder)
    template = (
        "{% for message in messages %}USER: {% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}<image> {% else %}{{ part['text'] }} {% endif %}"
        "{% endfor %}{% endfor %}ASSISTANT:"
    )
    reader = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    transformers.LlavaProcessor(
        reader, tokenizer, patch_size=8, vision_feature_select_strategy="default", chat_template=template,
        num_additional_image_tokens=1,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def test_a_local_model_with_vision_looks_at_the_images(vision_model):
    from PIL import Image

    from synaug.synthesis.writing.local_model import LocalWriter

    writer = LocalWriter(str(vision_model), device="cpu")
    black, white = (Image.new("RGB", (40, 30), color) for color in ("black", "white"))
    first, again, other = (writer.describe("coat", images, 3) for images in ([black], [black], [white, black]))
    assert first == again
    assert isinstance(other, str)
    assert writer.about["model"] == str(vision_model)
