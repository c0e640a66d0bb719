"""The how-to pages about prompts and generators are carried out, with small models and a service on this machine."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from image_server import serving
from synaug.runtime import storage

PAGES = Path(__file__).parents[2] / "docs" / "howto"
FLOW = {
    "3": {"class_type": "KSampler", "inputs": {"seed": "{seed}"}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "{prompt}"}},
}


def caption_each(content):
    """Answer as a language model that was asked for captions."""
    asked = content["messages"][-1]["content"]
    name, place = re.search(r"one ([a-z ]+), background '([a-z ]+)'", asked).groups()
    return "\n".join(f"a {color} {name} {place}" for color in ("red", "old", "wet", "torn", "new"))


@pytest.fixture
def place(photos, tmp_path, monkeypatch):
    """A folder to work in with photos/ and cut-outs/ of three classes, and a ComfyUI workflow."""
    shutil.copytree(photos, tmp_path / "photos")
    for path in photos.rglob("*.png"):
        image = Image.open(path).convert("L").convert("RGBA")
        alpha = np.zeros((image.height, image.width), np.uint8)
        alpha[6:-6, 6:-6] = 255
        image.putalpha(Image.fromarray(alpha))
        target = tmp_path / "cut-outs" / path.relative_to(photos)
        storage.make_folder(target.parent)
        image.save(target)
    storage.write_json(tmp_path / "flow.json", FLOW)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
    return tmp_path


def carried_out(synaug, page, replaced, gates="broken"):
    """Write the recipes of a page and run its commands, few images each; return what they printed."""
    text = (PAGES / f"{page}.md").read_text()
    for old, new in replaced.items():
        assert old in text, f"{page}.md no longer has {old}"
        text = text.replace(old, str(new))
    for block in re.findall(r"^```python\n(.*?)^```", text, flags=re.M | re.S):
        if "write_text" in block:
            exec(compile(block, page, "exec"), {})
    for block in re.findall(r"^```yaml\n(.*?)^```", text, flags=re.M | re.S):
        Path(re.match(r"# (\S+\.yaml)", block)[1]).write_text(block)
    printed = []
    for block in re.findall(r"^```console\n(.*?)^```", text, flags=re.M | re.S):
        for line in re.findall(r"^\$ synaug (.+)$", block, flags=re.M):
            words = shlex.split(line, comments=True)
            if words[0] == "plan":
                words += ["--target", "14", "--set", f"quality.gates=[{gates}]", "--set", "quality.max_missing=1.0",
                          "--set", "generate.batch_size=4"]  # fmt: skip
            done = synaug(*words)
            assert done.code == 0, f"{line}\n{done.err}"
            printed.append(done.out)
    assert printed
    return printed


def test_own_prompts(synaug, place):
    printed = carried_out(synaug, "prompts", {})
    assert "too long" in printed[2]
    assert len(list((place / "runs/photos/synthetic").rglob("*.png"))) >= 5


def test_prompts_by_a_language_model(synaug, place, language_model):
    with serving() as service:
        service.write = caption_each
        replaced = {"Qwen/Qwen3-4B-Instruct-2507": language_model, "http://127.0.0.1:11434/v1": f"{service.address}/v1"}
        printed = carried_out(synaug, "language-model", replaced)
    assert "images by background" in printed[-1]
    assert Path("by-service.csv").read_text().startswith("class,prompt,spread.background,model,revision,date\n")


def test_an_image_service(synaug, place):
    with serving() as service:
        replaced = {
            "  price: 0.011": f"  endpoint: {service.address}/v1\n  price: 0.011",
            "http://127.0.0.1:8000/v1": f"{service.address}/v1",
        }
        carried_out(synaug, "service", replaced)
        assert service.requests


def test_a_comfyui_server(synaug, place):
    with serving() as service:
        carried_out(synaug, "comfyui", {"http://127.0.0.1:8188": service.address})
        assert service.prompts


def test_a_custom_generator(synaug, place):
    carried_out(synaug, "generator", {})
    assert list((place / "runs/drawn/synthetic").rglob("*.png"))


def test_references_masks_and_controlnet(synaug, place, small_diffusion, adapter, controlnet):
    replaced = {
        "stable-diffusion-v1-5/stable-diffusion-v1-5": small_diffusion,
        "h94/IP-Adapter": adapter,
        "lllyasviel/control_v11p_sd15_canny": controlnet,
    }
    printed = carried_out(synaug, "references", replaced, gates="copy,leak")  # random weights make dull images
    assert all("copy" in printed[i] and "leak" in printed[i] for i in (1, 3, 5))
    for name in ("reference", "inpaint", "controlnet"):
        assert list((place / "runs" / name / "synthetic").rglob("*.png"))
