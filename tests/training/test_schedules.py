import pytest

from synaug.config import StageOptions
from synaug.errors import Interrupted, OptionError
from synaug.training.checkpoint import FILE
from synaug.training.loop import train_representation
from synaug.training.networks.classifiers import make_model
from synaug.training.schedules import FINE_TUNING, SCHEDULES, halves

OPTIONS = StageOptions(steps=5, batch_size=4, real_finish=0.4)
TRAINING = sorted(SCHEDULES.keys() - {"frozen"})


def network():
    return make_model("resnet8", num_classes=3, in_channels=1, image_size=8)


def bits(model):
    return {name: value.numpy().tobytes() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("name", TRAINING)
def test_a_schedule_repeats_with_the_seed_and_resumes_from_its_checkpoint(small_set, tmp_path, name):
    first, again = network(), network()
    SCHEDULES[name](first, small_set, OPTIONS, seed=0, device="cpu", checkpoint=tmp_path)
    SCHEDULES[name](again, small_set, OPTIONS, seed=0, device="cpu", checkpoint=tmp_path)
    assert bits(first) == bits(again)
    other = network()
    SCHEDULES[name](other, small_set, OPTIONS, seed=0, device="cpu")
    assert bits(other) == bits(first)
    assert (tmp_path / FILE).exists()


@pytest.mark.parametrize("name", TRAINING)
@pytest.mark.parametrize("stop_after", range(1, 5))
def test_a_schedule_killed_at_any_step_and_resumed_equals_the_uninterrupted(
    small_set, tmp_path, stop_at, name, stop_after
):
    whole, resumed = network(), network()
    log = SCHEDULES[name](whole, small_set, OPTIONS, seed=0, device="cpu")
    with stop_at(stop_after), pytest.raises(Interrupted):
        SCHEDULES[name](network(), small_set, OPTIONS, seed=0, device="cpu", checkpoint=tmp_path)
    again = SCHEDULES[name](resumed, small_set, OPTIONS, seed=0, device="cpu", checkpoint=tmp_path)
    assert bits(resumed) == bits(whole)
    assert again.losses == log.losses


@pytest.mark.parametrize("name", TRAINING)
def test_every_schedule_takes_the_same_steps(small_set, name):
    told = {}
    SCHEDULES[name](
        network(),
        small_set,
        OPTIONS,
        seed=0,
        device="cpu",
        progress=lambda stage, done, total, note: told.update({stage: total}),
        stage="training it",
    )
    assert sum(told.values()) == 5
    assert list(told)[-1] == "training it"


def test_synthetic_first_then_real_are_two_trainings(small_set):
    model, alone = network(), network()
    SCHEDULES["synthetic_then_real"](model, small_set, OPTIONS, seed=0, device="cpu")
    first, second = halves(OPTIONS, len(small_set))
    second = second.model_copy(update={"learning_rate": FINE_TUNING * OPTIONS.learning_rate})
    for chosen, options in ((small_set.is_synthetic, first), (~small_set.is_synthetic, second)):
        train_representation(alone, small_set.rows(chosen), options, seed=0, device="cpu")
    assert bits(model) == bits(alone)


def test_the_last_steps_are_on_real_images_balanced_and_slow(small_set):
    model, alone = network(), network()
    SCHEDULES["mixed_then_real"](model, small_set, OPTIONS, seed=0, device="cpu")
    train_representation(alone, small_set, OPTIONS.model_copy(update={"steps": 3}), seed=0, device="cpu")
    last = {"steps": 2, "learning_rate": FINE_TUNING * OPTIONS.learning_rate, "sampler": "group_balanced", "warmup": 0}
    real = small_set.rows(~small_set.is_synthetic)
    train_representation(alone, real, OPTIONS.model_copy(update=last), seed=0, device="cpu")
    assert bits(model) == bits(alone)


def test_frozen_features_stay_as_they_are(small_set):
    model = network()
    before = bits(model)
    assert SCHEDULES["frozen"](model, small_set, OPTIONS, seed=0, device="cpu").steps == 0
    assert bits(model) == before


def test_without_synthetic_images_there_is_nothing_to_start_from(small_set):
    with pytest.raises(OptionError, match=r"There are no synthetic images to start from"):
        SCHEDULES["synthetic_then_real"](network(), small_set.rows(~small_set.is_synthetic), OPTIONS, seed=0)


def test_a_tracker_can_distinguish_the_start_from_the_rest(small_set):
    told = []
    SCHEDULES["simclr_start"](
        network(), small_set, OPTIONS, seed=0, device="cpu", track=lambda values, step: told.append((set(values), step))
    )
    assert told == [({"start/loss", "start/learning_rate"}, 2), ({"loss", "learning_rate"}, 3)]


def test_one_step_is_one_for_each_half():
    assert [stage.steps for stage in halves(StageOptions(steps=1), 10)] == [1, 1]
