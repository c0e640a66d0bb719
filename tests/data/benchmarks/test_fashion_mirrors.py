import numpy as np
import pytest

from synaug.data.benchmarks import fashion_mirrors, fashion_mnist
from synaug.data.benchmarks.fashion_mirrors import MIRRORS, _Source, filled, make_mirror
from synaug.errors import OptionError


@pytest.fixture(autouse=True)
def archive(monkeypatch):
    """Noise in the shape of the archive: 2,700 training, 20 test and 12 validation images per class."""
    rng = np.random.default_rng(0)

    def images(per_class):
        labels = rng.permutation(np.repeat(np.arange(10), per_class))
        return fashion_mnist.FashionMnist(rng.integers(0, 256, (len(labels), 28, 28), dtype=np.uint8), labels)

    source = _Source(train=images(2700), test=images(20), validation=images(12))
    monkeypatch.setattr(fashion_mirrors, "_source", lambda: source)
    fashion_mirrors._made.cache_clear()


def counts(manifest):
    data = manifest.split("train")
    return np.bincount(data.labels, minlength=data.num_classes).tolist()


def test_the_long_tail_falls_from_2700_to_27():
    mirror = make_mirror("fashion_lt")
    assert counts(mirror.data) == [2700, 1618, 970, 581, 348, 209, 125, 75, 45, 27]
    assert counts(filled(mirror, by="class")) == [2700] * 10


@pytest.mark.parametrize("name", MIRRORS)
def test_options_are_chosen_on_images_of_their_own_split_or_in_the_place_of_the_test(name):
    usual, chosen = make_mirror(name).data, make_mirror(name, validation=True).data
    assert len(usual.split("validation")) == len(chosen.split("test")) > 0
    assert not len(chosen.split("validation"))
    assert counts(usual) == counts(chosen)


def test_a_longer_tail_is_part_of_a_shorter_one():
    longer, shorter = (set(make_mirror("fashion_lt", imbalance_factor=f).data.frame["id"]) for f in (100, 10))
    assert longer < shorter


def test_each_tint_is_usual_in_some_classes_and_rare_in_others_but_balanced_in_the_test():
    mirror = make_mirror("fashion_fair")
    train, test = mirror.data.split("train"), mirror.data.split("test")
    table = np.zeros((10, 4), int)
    np.add.at(table, (train.labels, train.attributes), 1)
    assert (table > 0).all()
    assert set(table.argmax(1)) == set(table.argmin(1)) == {0, 1, 2, 3}
    tested = np.zeros((10, 4), int)
    np.add.at(tested, (test.labels, test.attributes), 1)
    assert (tested == 5).all()


def test_the_spurious_groups_are_a_third_of_waterbirds_and_can_be_filled():
    mirror = make_mirror("fashion_spurious")
    train = mirror.data.split("train")
    assert np.bincount(train.labels * 2 + train.attributes).tolist() == [1166, 61, 19, 352]
    even = filled(mirror, by="group").split("train")
    assert np.bincount(even.labels * 2 + even.attributes).tolist() == [1166] * 4


@pytest.mark.parametrize("name", MIRRORS)
def test_no_image_is_in_two_parts(name):
    mirror = make_mirror(name)
    ids = [*mirror.data.frame["id"], *mirror.others.frame["id"]]
    assert len(ids) == len(set(ids))


def test_an_unknown_option_names_the_known():
    with pytest.raises(OptionError, match="no option 'factor'; available: imbalance_factor"):
        make_mirror("fashion_lt", factor=3)
    with pytest.raises(OptionError, match="Unknown mirror 'fashion_l'"):
        make_mirror("fashion_l")
