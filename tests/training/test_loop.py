import math

import pytest
import torch
from torch import nn

from synaug.config import StageOptions
from synaug.errors import DataError, Interrupted, OptionError, SynaugError
from synaug.training.checkpoint import FILE
from synaug.training.inference import extract_features, predict
from synaug.training.loop import CURVES, train_representation
from synaug.training.networks.classifiers import make_model

OPTIONS = StageOptions(steps=6, batch_size=8, mixing="domain_mixup", loss="group_dro", average=0.5)


def trained(data, options=OPTIONS, *, seed=0, **more):
    model = make_model("resnet8", num_classes=3, in_channels=1, image_size=8, seed=seed)
    log = train_representation(model, data, options, seed=seed, device="cpu", **more)
    return model, log


def bits(model):
    return {name: value.numpy().tobytes() for name, value in model.state_dict().items()}


class Dropping(nn.Module):
    """A network that draws its own random numbers."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 3))
        nn.init.zeros_(self.inner[2].weight)
        nn.init.zeros_(self.inner[2].bias)

    def forward(self, images):
        return self.inner(images)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(small_set):
    first, again, other = (trained(small_set, seed=seed)[0] for seed in (0, 0, 1))
    assert bits(first) == bits(again) != bits(other)


@pytest.mark.parametrize("stop_after", [1, 3, 5])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mixing": "cmo", "loss": "ldam_drw", "sampler": "progressively_balanced", "average": 0.0},
        {"mixing": "mixup_or_cutmix", "optimizer": "adamw", "sampler": "square_root", "max_synthetic": 0.25},
        {"mixing": "cutmix", "augmentations": ("randaugment", "cutout"), "sampler": "group_balanced", "warmup": 0.3},
    ],
)
def test_killed_at_any_step_and_resumed_equals_uninterrupted_bit_for_bit(
    small_set, tmp_path, stop_at, changes, stop_after
):
    options = StageOptions.model_validate(OPTIONS.model_dump() | changes)
    whole, log = trained(small_set, options)
    with stop_at(stop_after), pytest.raises(Interrupted):
        trained(small_set, options, checkpoint=tmp_path)
    resumed, resumed_log = trained(small_set, options, checkpoint=tmp_path)
    assert bits(resumed) == bits(whole)
    assert resumed_log.losses == log.losses
    assert len(log.losses) == 6


def test_dropout_follows_from_seed_and_step_and_the_global_state_is_left_alone(small_set):
    models = [Dropping(), Dropping()]
    state = torch.random.get_rng_state()
    for model in models:
        train_representation(model, small_set, StageOptions(steps=3, batch_size=8), seed=0, device="cpu")
    assert bits(models[0]) == bits(models[1])
    assert torch.random.get_rng_state().equal(state)


def test_a_finished_training_is_loaded_not_repeated(small_set, tmp_path):
    def maker(_data, _options):
        return lambda *_: pytest.fail("a batch was made")

    first, log = trained(small_set, checkpoint=tmp_path)
    second, loaded = trained(small_set, checkpoint=tmp_path, maker=maker)
    assert bits(first) == bits(second)
    assert loaded == log


def test_a_checkpoint_of_other_options_data_or_seed_is_refused(small_set, tmp_path):
    trained(small_set, checkpoint=tmp_path)
    other = OPTIONS.model_copy(update={"learning_rate": 0.2})
    for data, options, seed in (
        (small_set, other, 0),
        (small_set.rows(range(11)), OPTIONS, 0),
        (small_set, OPTIONS, 1),
    ):
        with pytest.raises(OptionError, match=r"belongs to a training with other options, data or network. Remove"):
            trained(data, options, seed=seed, checkpoint=tmp_path)


def test_a_damaged_checkpoint_is_named(small_set, tmp_path):
    trained(small_set, checkpoint=tmp_path)
    (tmp_path / FILE).write_bytes(b"torn")
    with pytest.raises(DataError, match=rf"{FILE}.*{FILE}.*train"):
        trained(small_set, checkpoint=tmp_path)


def test_averaged_weights_are_those_of_each_step_by_hand(small_set):
    """The first weights are copied; from then on half of the average and half of the new ones."""
    seen, network = [], Dropping()

    def loss(logits, targets, *, context):
        seen.append(network.inner[2].weight.detach().clone())
        return nn.functional.cross_entropy(logits, targets)

    options = StageOptions(steps=3, batch_size=8, mixing="none")
    train_representation(network, small_set, options, seed=0, device="cpu", loss=loss)
    _, first, second, third = *seen, network.inner[2].weight
    averaged = Dropping()
    train_representation(averaged, small_set, options.model_copy(update={"average": 0.5}), seed=0, device="cpu")
    assert torch.allclose(averaged.inner[2].weight, 0.25 * first + 0.25 * second + 0.5 * third, atol=1e-7)


def test_steps_without_a_finite_loss_are_skipped_and_counted(small_set):
    calls = iter(range(100))

    def loss(logits, targets, *, context):
        return logits.sum() * (math.inf if next(calls) == 2 else 0.001)

    model, log = trained(small_set, loss=loss)
    assert log.skipped == 1
    assert [math.isnan(value) for value in log.losses] == [False, False, True, False, False, False]
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


def test_too_many_steps_without_a_finite_loss_are_an_error(small_set):
    options = OPTIONS.model_copy(update={"steps": 40})
    with pytest.raises(SynaugError, match=r"21 steps.*21.*40.*Lower"):
        trained(small_set, options, loss=lambda logits, targets, *, context: logits.sum() * math.nan)


def test_one_step_of_sgd_is_torchs(small_set):
    options = StageOptions(
        steps=1, batch_size=12, mixing="none", flip=False, crop_padding=0, warmup=0.0, weight_decay=0.0
    )
    model, twin = Dropping().eval(), nn.Linear(64, 3)
    model.inner[1].p = 0.0
    nn.init.zeros_(twin.weight), nn.init.zeros_(twin.bias)
    train_representation(model, small_set, options, seed=0, device="cpu")
    loss = nn.functional.cross_entropy(twin(small_set.normalized(small_set.images).flatten(1)), small_set.labels)
    loss.backward()
    # the first step of Nesterov's momentum is 1 + 0.9 times the gradient
    assert torch.allclose(model.inner[2].weight, -0.1 * 1.9 * twin.weight.grad, atol=1e-6)


@pytest.mark.parametrize(("prior", "counts"), [("real", [4, 1, 1]), ("drawn", [4, 4, 4])])
def test_losses_correct_for_the_requested_counts(small_set, prior, counts):
    seen = []

    def loss(logits, targets, *, context):
        seen.append((context.class_counts.tolist(), context.logit_scale))
        return logits.sum()

    options = StageOptions(steps=1, batch_size=4, prior=prior, sampler="class_balanced")
    for head, scale in (("linear", 1.0), ("cosine", 30.0)):
        model = make_model("resnet8", num_classes=3, in_channels=1, image_size=8, head=head)
        train_representation(model, small_set, options, seed=0, device="cpu", loss=loss)
        assert seen.pop() == (pytest.approx(counts), scale)


@pytest.mark.parametrize(
    "changes",
    [
        {"mixing": "cmo", "loss": "ldam_drw", "sampler": "progressively_balanced"},
        {"mixing": "mixup_or_cutmix", "optimizer": "adamw", "learning_rate": 0.001},
        {"augmentations": ("randaugment", "cutout"), "max_synthetic": 0.25},
        {"mixup_alpha": 0.0, "steps": None, "epochs": 2},
    ],
)
def test_methods_combine(small_set, changes):
    _, log = trained(small_set, StageOptions.model_validate({"steps": 3, "batch_size": 8} | changes))
    assert log.steps == 3
    assert all(math.isfinite(value) for value in log.losses)
    assert log.images_per_second == pytest.approx(log.steps * 8 / log.seconds)


def test_predictions_do_not_depend_on_the_batch_size_or_the_mode(small_set):
    model, _ = trained(small_set)
    logits = predict(model, small_set, device="cpu")
    assert logits.shape == (12, 3)
    assert torch.allclose(predict(model.train(), small_set, batch_size=5, device="cpu"), logits, atol=1e-5)
    assert model.training


def test_features_are_the_inputs_of_the_classifier(small_set):
    model, _ = trained(small_set)
    features = extract_features(model, small_set, device="cpu")
    assert torch.allclose(model.classifier(features), predict(model, small_set, device="cpu"), atol=1e-5)


def test_flipped_features_do_not_change_when_images_are_mirrored(small_set):
    from dataclasses import replace

    model, _ = trained(small_set)
    mirrored = replace(small_set, images=small_set.images.flip(3))
    first, second = (extract_features(model, data, device="cpu", flip=True) for data in (small_set, mirrored))
    assert torch.allclose(first, second, atol=1e-5)


def test_progress_ends_at_the_last_step(small_set):
    told = []
    trained(small_set, progress=lambda *news: told.append(news[:3]), stage="fit")
    assert told[-1] == ("fit", 6, 6)


def test_a_few_seconds_of_training_on_long_tailed_digits_beat_guessing_by_far(long_tail, even_digits):
    model = make_model("resnet8", num_classes=10, in_channels=1, image_size=8)
    options = StageOptions(steps=120, batch_size=64, flip=False, sampler="class_balanced")
    train_representation(model, long_tail, options, seed=0, device="cpu")
    predictions = predict(model, even_digits, device="cpu").argmax(1)
    assert (predictions == even_digits.labels).float().mean() > 0.5


def test_the_curves_are_written_beside_the_checkpoint(small_set, tmp_path):
    _, log = trained(small_set, checkpoint=tmp_path)
    lines = (tmp_path / CURVES).read_text().splitlines()
    assert lines[0] == "step,loss,learning_rate"
    assert [float(line.split(",")[1]) for line in lines[1:]] == list(log.losses)


def test_a_tracker_receives_loss_and_learning_rate(small_set):
    told = {}
    _, log = trained(small_set, track=lambda values, step: told.update({step: values}))
    assert told[6]["loss"] == pytest.approx(log.losses[-1])
    assert 0 < told[6]["learning_rate"] < 0.1
