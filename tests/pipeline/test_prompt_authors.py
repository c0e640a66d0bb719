"""Who wrote each prompt stands in the provenance of its image, and in the exported set."""

import json

import pandas as pd

from synaug.runtime import storage

DRAW = """
import numpy as np
from PIL import Image

def draw(prompts, *, seeds):
    return [Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 16), np.uint8)) for seed in seeds]
"""
PROMPTS = """class,prompt,model,revision,date
coat,a green coat,org/writer,abc123,2026-11-28
bag,a red bag,,,
ankle boot,an ankle boot on grass,,,
"""
AUTHOR = ["prompt_model", "prompt_revision", "prompt_date"]


def exported(synaug, photos, folder, *more):
    code = folder / "draw.py"
    storage.write_text(code, DRAW)
    steps = (
        ("plan", photos, "--generator", f"{code}:draw", "--out", folder / "run", "--target", 14,
         "--set", "quality.gates=[]", *more),
        ("generate", folder / "run", "--generator", f"{code}:draw"),
        ("export", folder / "run", "--out", folder / "set"),
    )  # fmt: skip
    for step in steps:
        done = synaug(*step)
        assert done.code == 0, done.err
    rows = pd.read_parquet(folder / "set" / "train" / "metadata.parquet")
    return rows[rows.is_synthetic], (folder / "set" / "README.md").read_text()


def test_each_image_has_the_author_of_its_prompt(synaug, photos, tmp_path):
    storage.write_text(tmp_path / "prompts.csv", PROMPTS)
    rows, card = exported(synaug, photos, tmp_path, "--prompts", tmp_path / "prompts.csv")
    assert set(rows.prompt_source) == {"file"}
    assert set(rows.prompt_file) == {"prompts.csv"}
    by_model = rows[rows.label == "coat"]
    assert by_model[AUTHOR].drop_duplicates().to_numpy().tolist() == [["org/writer", "abc123", "2026-11-28"]]
    assert rows[rows.label != "coat"][AUTHOR].isna().all(axis=None)
    assert "3 of prompts.csv, 1 by org/writer abc123 2026-11-28" in card


def test_built_in_prompts_are_named_as_such(synaug, photos, tmp_path):
    rows, card = exported(synaug, photos, tmp_path)
    assert set(rows.prompt_source) == {"template"}
    assert "prompt_model" not in rows
    assert "a photo of a {modifier} {class}" in card
    lines = (tmp_path / "run" / "journal" / "worker-0-of-1.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["prompt_source"] == "template"
