"""Test that each name that somebody may misspell gets the nearest known one as a hint."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from synaug.bench import read_experiment
from synaug.config import DataOptions, GenerateOptions, PlanOptions, QualityOptions, StageOptions
from synaug.data import read_data
from synaug.data.images import Encoding
from synaug.data.manifest import from_arrays
from synaug.errors import OptionError
from synaug.recipes import make_recipe
from synaug.runtime.devices import chosen_precision
from synaug.synthesis.planning import make_plan
from synaug.synthesis.planning.prompting.prompts import prompt
from synaug.synthesis.quality import make_gates
from synaug.training import train_representation
from synaug.training.contrastive import pretrain_contrastive
from synaug.training.last_layer import retrain_classifier
from synaug.training.losses import loss_named
from synaug.training.mixing import mixing_named
from synaug.training.networks import make_model
from synaug.training.sampling import batches
from synaug.training.training_set import make_training_set

SET = make_training_set(torch.zeros((6, 1, 8, 8), dtype=torch.uint8), torch.tensor([0, 0, 0, 0, 1, 1]), num_classes=2)
IMAGES = from_arrays(np.zeros((6, 8, 8), np.uint8), [0, 0, 0, 0, 1, 1], class_names=("bag", "coat"))


def network() -> nn.Module:
    return make_model("resnet8", num_classes=2, in_channels=1, image_size=8)


def plan(**options):
    return make_plan(
        IMAGES, options=PlanOptions(**options), generate=GenerateOptions(), encoding=Encoding(), image_size=(8, 8)
    )


def trained(**options):
    return train_representation(network(), SET, StageOptions(steps=1, batch_size=2, **options), seed=0, device="cpu")


CASES = [
    ("data set", "waterbird", "waterbirds", lambda: read_data(".", DataOptions(benchmark="waterbird"))),
    ("option", "plan.targt", "plan.target", lambda: make_recipe({"plan": {"targt": 1}})),
    ("option", "pln", "plan", lambda: make_recipe({"pln": {}})),
    ("class in target", "bags", "bag", lambda: plan(target={"bags": 6})),
    ("class in aliases", "coats", "coat", lambda: plan(aliases={"coats": "winter coat"})),
    ("placeholder", "{clas}", "{class}", lambda: prompt("a {clas}", class_name="bag")),
    ("gate", "offclass", "off_class", lambda: make_gates(IMAGES, QualityOptions(gates=("offclass",)))),
    ("precision", "bfloat", "bfloat16", lambda: chosen_precision("bfloat", torch.device("cpu"))),
    ("network", "resnet23", "resnet20", lambda: make_model("resnet23", num_classes=2)),
    ("head", "cosin", "cosine", lambda: make_model("resnet8", num_classes=2, head="cosin")),
    ("augmentation", "cutuot", "cutout", lambda: trained(augmentations=("cutuot",))),
    ("loss", "focall", "focal", lambda: loss_named("focall", num_groups=0)),
    ("mixing", "mixupp", "mixup", lambda: mixing_named("mixupp")),
    ("sampler", "instanc", "instance", lambda: next(batches("instanc", SET, batch_size=2, steps=1, seed=0))),
    (
        "contrastive loss", "simclrr", "simclr",
        lambda: pretrain_contrastive(network(), SET, StageOptions(), loss="simclrr", seed=0),
    ),
    ("retraining method", "logistics", "logistic", lambda: retrain_classifier(network(), SET, method="logistics")),
    ("experiment", "dmo", "demo", lambda: read_experiment("dmo")),
    ("arm", "fille", "filled", lambda: read_experiment("fashion-lt", arms=["fille"])),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "given", "near", "call"), CASES, ids=[f"{kind} {given}" for kind, given, *_ in CASES])
def test_a_misspelled_name_gets_the_nearest_as_a_hint(kind, given, near, call):
    with pytest.raises(OptionError) as raised:
        call()
    said = re.search(r"Unknown (.+?) '(.+?)'\. Did you mean '(.+?)'", str(raised.value))
    assert said is not None, str(raised.value)
    assert said.groups() == (kind, given, near)
