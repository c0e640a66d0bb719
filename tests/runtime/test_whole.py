"""The time left for a whole run: from the paces of finished work, and a lower bound while some are unknown."""

import pytest

from synaug.runtime.progress import silent
from synaug.runtime.whole import Part, Whole, enter

PARTS = [
    Part("a", "training", "train", 100),
    Part("images", "making images", "images", 50),
    Part("b", "training", "train", 200),
    Part("choice", "choosing", "train", 40, stages=4),
    Part("report"),
]


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def lines():
    return []


@pytest.fixture
def whole(clock, lines):
    return Whole(lambda *said: lines.append(said), PARTS, clock=clock)


def advance(whole, clock, stage, total, *, seconds, until=None):
    for done in range(1, (until or total) + 1):
        clock.now += seconds
        whole(stage, done, total, "")


def test_before_the_first_part_stages_are_passed_on_as_they_are(whole, lines):
    whole("read images", 1, 2, "note")
    assert lines == [("read images", 1, 2, "note")]


def test_a_stage_shows_the_number_of_its_part(whole, lines):
    enter(whole, "images")
    whole("making images", 1, 50, "3 rejected")
    assert lines[0][0] == "2/5 making images"
    assert lines[0][3].endswith("3 rejected")


def test_the_time_left_is_that_of_all_parts_of_a_known_pace(whole, clock):
    enter(whole, "a")
    whole("training x", 0, 100, "")
    advance(whole, clock, "training x", 100, seconds=1, until=50)
    assert whole.left() == "over 4:50"  # 50 + 200 + 40; the pace of images is unknown
    enter(whole, "images")
    whole("loading the generator", 1, 1, "")
    whole("making images", 0, 50, "")
    advance(whole, clock, "making images", 50, seconds=2, until=10)
    assert whole.left() == "5:20"  # 40 * 2 + 240
    enter(whole, "choice")
    assert whole.left() == "0:40"
    for fold in range(4):
        whole(f"choosing {fold}/4, x", 0, 10, "")
        advance(whole, clock, f"choosing {fold}/4, x", 10, seconds=1, until=5 if fold == 3 else 10)
    assert whole.left() == "0:05"
    enter(whole, "report")
    assert whole.left() == ""


def test_a_resumed_training_has_the_pace_since_it_resumed(whole, clock):
    enter(whole, "a")
    whole("training x", 60, 100, "")
    clock.now += 20
    whole("training x", 80, 100, "")
    assert whole.left() == "over 4:20"  # 20 + 200 + 40


def test_parts_are_only_entered_forward_and_unknown_names_change_nothing(whole, lines):
    for name in ("images", "a", "nothing"):
        enter(whole, name)
    whole("making images", 1, 50, "")
    assert lines[0][0] == "2/5 making images"
    enter(silent, "a")
