"""Test that ImageNet ids become names, and that ambiguous names are reported."""

import pytest

from synaug.errors import OptionError
from synaug.synthesis.planning.names.ambiguous_names import PLAINER, name_warnings
from synaug.synthesis.planning.names.wordnet import check_all_named, synsets


def test_the_ids_of_imagenet_have_the_names_they_are_known_by():
    found = synsets(["n01440764", "n03594945", "n02123045", "n03793489", "n02012849", "n03126707"])
    names = [synset.name for synset in found.values()]
    assert names == ["tench", "jeep", "tabby cat", "computer mouse", "crane", "crane"]
    assert "wading bird" in found["n02012849"].definition


def test_every_class_of_imagenet_1k_has_a_name():
    from timm.data import ImageNetInfo

    ids = ImageNetInfo("imagenet-1k").label_names()
    names = [synset.name for synset in synsets(ids).values()]
    assert len(names) == 1000
    assert {name for name in names if names.count(name) > 1} == {"crane", "maillot"}


def test_other_classes_are_not_ids():
    assert synsets(["n01440764_tench", "n123", "bag"]) == {}


def test_unknown_ids_are_named_with_the_way_out():
    unknown = [f"n9999999{k}" for k in range(7)]
    with pytest.raises(OptionError, match=r"7 classes.*WordNet.*n99999994.*2.*--aliases"):
        check_all_named([*unknown, "n01440764"], {"n01440764"})
    check_all_named(unknown, unknown)


def test_a_name_of_two_meanings_is_noted_with_its_meanings():
    (said,) = name_warnings({"n1": "Crane"}, aliases={}, definitions={"n1": "a machine"})
    assert "(meant: a machine)" in said
    assert "n1: construction crane" in said


def test_decided_images_are_not_judged_again():
    assert name_warnings({"mouse": "mouse"}, aliases={"mouse": "mouse"}) == []


def test_a_name_of_two_classes_is_noted():
    assert "call a and b all 'bag'" in name_warnings({"a": "bag", "b": "Bag"}, aliases={})[0]


def test_plurals_are_noted_once_with_an_alias_for_each():
    names = {"birds": "birds", "ankle_boots": "ankle boots", "fish": "fish", "dress": "dress", "cats": "cats"}
    (said,) = name_warnings(names, aliases={"cats": "cat"})
    assert "'a birds'" in said
    assert said.endswith("birds: bird, ankle_boots: ankle boot.")
    (said,) = name_warnings({f"{k}_cars": f"{k} cars" for k in range(20)}, aliases={})
    assert said.endswith("7_cars: 7 car, and 12 more.")


def test_names_of_imagenet_are_not_plurals():
    assert name_warnings({"n1": "parallel bars"}, aliases={}, definitions={"n1": "a gymnastic apparatus"}) == []


def test_proposed_names_are_not_doubtful():
    assert not {plainer for ways in PLAINER.values() for plainer in ways} & set(PLAINER)
