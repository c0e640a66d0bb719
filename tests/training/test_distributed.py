import json
import runpy
import subprocess
import sys

import numpy as np
import pytest

from synaug.errors import OptionError
from synaug.training.distributed import Team, joined_team

SCRIPT = """
import json, os, sys
from pathlib import Path
import torch
from torch import nn
from synaug.config import StageOptions
from synaug.training.loop import train_representation
from synaug.training.inference import predict
from synaug.training.training_set import make_training_set

generator = torch.Generator().manual_seed(0)
labels = torch.arange(40) % 3
images = torch.randint(0, 200, (40, 1, 4, 4), dtype=torch.uint8, generator=generator)
data = make_training_set(images, labels, num_classes=3)
model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
nn.init.zeros_(model[1].weight), nn.init.zeros_(model[1].bias)
options = StageOptions(steps=12, batch_size=8, mixing="none", flip=False, crop_padding=0)
log = train_representation(model, data, options, seed=0, device="cpu", checkpoint=Path(sys.argv[1]))
if os.environ.get("RANK", "0") == "0":
    print("RESULT" + json.dumps({"losses": log.losses, "logits": predict(model, data, device="cpu").tolist()}))
"""


def result_in(output):
    lines = [line for line in output.splitlines() if line.startswith("RESULT")]
    assert len(lines) == 1
    return json.loads(lines[0].removeprefix("RESULT"))


def test_two_processes_train_as_one_does(tmp_path, monkeypatch, capsys):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    monkeypatch.setattr(sys, "argv", [str(script), str(tmp_path / "one")])
    runpy.run_path(str(script))
    alone = result_in(capsys.readouterr().out)
    launch = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    command = [sys.executable, *launch, str(script), str(tmp_path / "two")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    both = result_in(done.stdout)
    assert both["losses"] == pytest.approx(alone["losses"], rel=1e-4)
    assert np.array(both["logits"]) == pytest.approx(np.array(alone["logits"]), abs=1e-4)


def test_the_shares_of_a_batch_are_the_batch():
    rows = np.arange(12)
    shares = [Team(rank=rank, size=3).share(rows) for rank in range(3)]
    assert sorted(np.concatenate(shares)) == list(rows)
    assert {len(share) for share in shares} == {4}


def test_without_a_launcher_there_is_one_process(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert joined_team("auto") == (Team(), "auto")


def test_a_batch_that_cannot_be_divided_evenly_is_refused():
    with pytest.raises(OptionError, match=r"batch.*9 images.*2 processes"):
        Team(size=2).check(9)
