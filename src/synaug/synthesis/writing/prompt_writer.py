"""Let a language model write the prompts of each class, evenly over the phrases of each attribute, with a journal."""

from __future__ import annotations

import datetime
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol, TypedDict, cast

from PIL import Image

from synaug.errors import DataError, OptionError
from synaug.runtime import Progress, signals, silent, storage
from synaug.synthesis.planning.prompting import Author, Phrases, WrittenPrompt, turns
from synaug.synthesis.writing.answers import Wanted, distinct_form, other_names, parsed

AT_ONCE = 12  # captions per question
MAX_IN_VAIN = 6  # questions in a row without a new prompt
MAX_DESCRIPTION = 400  # characters


class Writer(Protocol):
    """A language model; ``about`` has its name (``model``) and ``revision``."""

    about: dict[str, str]

    def write(
        self, name: str, *, number: int, phrases: Mapping[str, str], description: str, known: Sequence[str], seed: int
    ) -> str:
        """Return its answer to a question for prompts."""
        ...

    def describe(self, name: str, images: Sequence[Image.Image], seed: int) -> str:
        """Return how images look."""
        ...


@dataclass(frozen=True)
class Task:
    """The prompts to write for a class, or for a group of it.

    Args:
        class_name: the class.
        names: names that prompts may use for the class; the model is asked to use the first.
        attribute: attribute of the group, or empty.
        number: number of prompts.
        images: training images to describe.
    """

    class_name: str
    names: tuple[str, ...]
    attribute: str = ""
    number: int = 1
    images: tuple[Image.Image, ...] = field(default=(), repr=False)

    @property
    def cell(self) -> str:
        return f"{self.class_name} | {self.attribute}" if self.attribute else self.class_name


@dataclass(frozen=True)
class Writing:
    """The prompts and their model; per class or group, the numbers of missing prompts and of rejected lines."""

    prompts: tuple[WrittenPrompt, ...]
    missing: dict[str, int]
    rejected: dict[str, dict[str, int]]
    about: dict[str, str]


def write_prompts(
    writer: Writer,
    tasks: Sequence[Task],
    *,
    spread: Mapping[str, Sequence[str]],
    seed: int,
    journal: Path,
    about: Mapping[str, object],
    progress: Progress = silent,
) -> Writing:
    """Return the prompts of all tasks; each is in the journal as soon as it is written, so that a kill loses none.

    Args:
        writer: the language model.
        tasks: the prompts to write.
        spread: name such as ``background`` -> phrases, which the prompts of each class take in turn.
        seed: random seed of the questions, and of a local model's answers.
        journal: file with the finished prompts; one with the same ``about`` is resumed.
        about: everything that the prompts depend on.
        progress: called with the number of prompts.

    Raises:
        OptionError: the journal has other options, or the model does not accept images.
        EnvironmentFault: the model is not available.
        Interrupted: a signal arrived; finished prompts are in the journal.
    """
    work = _Work(writer, tasks, spread=spread, seed=seed, journal=journal, progress=progress)
    work.resume(about)
    names = {task.class_name: task.names for task in tasks}
    for task in tasks:
        for phrases, number in _shares(spread, task.number):
            work.fill(task, phrases, number, other_names(names, task.class_name))
    rejected = {name: dict(each) for name, each in work.rejected.items()}
    return Writing(tuple(work.prompts()), work.missing(), rejected, work.about)


def _shares(spread: Mapping[str, Sequence[str]], number: int) -> Iterator[tuple[Phrases, int]]:
    """Yield each combination of phrases with its number of prompts: each phrase of each name equally often."""
    counts = Counter(islice(turns([len(each) for each in spread.values()]), number))
    for places, share in sorted(counts.items()):
        yield tuple((name, each[i]) for (name, each), i in zip(spread.items(), places, strict=True)), share


class _Written(TypedDict, total=False):
    """A line of the journal: the description of a class's images, or new prompts and the numbers of rejected lines."""

    cell: str
    description: str
    spread: dict[str, str]
    prompts: list[str]
    rejected: dict[str, int]
    by: dict[str, str]
    date: str
    given_up: bool


class _Work:
    """The prompts so far."""

    def __init__(
        self,
        writer: Writer,
        tasks: Sequence[Task],
        *,
        spread: Mapping[str, Sequence[str]],
        seed: int,
        journal: Path,
        progress: Progress,
    ) -> None:
        self._writer, self._tasks, self._spread, self._seed = writer, tasks, spread, seed
        self._journal, self._progress = journal, progress
        self._written: dict[tuple[str, Phrases], list[str]] = {}
        self._authors: dict[tuple[str, str], Author] = {}  # by class or group, and prompt
        self._descriptions: dict[str, str] = {}
        self._seen: dict[str, set[str]] = {}
        self._done: set[tuple[str, Phrases]] = set()  # given up
        self.rejected: dict[str, Counter[str]] = {}
        self.about = dict(writer.about)  # of the last answer

    def resume(self, about: Mapping[str, object]) -> None:
        """Read the journal, or begin it."""
        records = list(storage.read_records(self._journal)) if self._journal.exists() else []
        if not records:
            storage.append_records(self._journal, [{"about": dict(about)}])
            return
        if not isinstance(records[0], dict) or records[0].get("about") != dict(about):
            raise OptionError(
                f"{self._journal} holds unfinished prompts for other options. Rerun with those options to resume, "
                "remove the file, or choose another name with --out."
            )
        try:
            for record in records[1:]:
                self._add(cast("_Written", record))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{self._journal} is damaged ({error}). Remove it to start again.") from error

    def _add(self, record: _Written) -> None:
        cell = str(record["cell"])
        if "description" in record:
            self._descriptions[cell] = str(record["description"])
            return
        phrases = tuple((str(name), str(phrase)) for name, phrase in record["spread"].items())
        key = (cell, phrases)
        if record.get("given_up"):
            self._done.add(key)
        by = {str(name): str(value or "") for name, value in record["by"].items()}
        author = Author(by["model"], by["revision"], str(record.get("date", "")))
        for prompt in record["prompts"]:
            self._authors[cell, str(prompt)] = author
            self._written.setdefault(key, []).append(str(prompt))
            self._seen.setdefault(cell, set()).add(distinct_form(prompt))
        self.rejected.setdefault(cell, Counter()).update(record["rejected"])
        self.about = by

    def fill(self, task: Task, phrases: Phrases, number: int, others: tuple[str, ...]) -> None:
        """Ask until there are ``number`` prompts of a class with these phrases, or the model writes no new ones."""
        key = (task.cell, phrases)
        mine, seen = self._written.setdefault(key, []), self._seen.setdefault(task.cell, set())
        said = dict(phrases) | ({"attribute": task.attribute} if task.attribute else {})
        own = tuple(said.values())
        alternatives = [phrase for each in self._spread.values() for phrase in each if phrase not in own]
        wanted = Wanted(task.names, others, own, tuple(alternatives))
        in_vain = questions = 0
        while len(mine) < number and key not in self._done:
            signals.stop_here()
            description = self._described(task)
            answer = self._writer.write(
                task.names[0], number=min(AT_ONCE, number - len(mine)), phrases=said, description=description,
                known=mine, seed=self._seed_of(key, f"{len(mine)}/{questions}"),
            )  # fmt: skip
            questions += 1
            rejected = Counter[str]()
            new = parsed(answer, wanted, set(seen), rejected)[: number - len(mine)]
            in_vain = 0 if new else in_vain + 1
            record: _Written = {
                "cell": task.cell, "spread": dict(phrases), "prompts": new, "rejected": dict(rejected),
                "by": dict(self._writer.about), "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            }  # fmt: skip
            if in_vain >= MAX_IN_VAIN:
                record["given_up"] = True
            storage.append_records(self._journal, [record])
            self._add(record)
            self._progress("writing prompts", sum(map(len, self._written.values())), self._total, task.cell)

    def _described(self, task: Task) -> str:
        if not task.images:
            return ""
        if task.cell not in self._descriptions:
            text = self._writer.describe(task.names[0], task.images, self._seed_of((task.cell, ()), "describe"))
            plain = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
            record: _Written = {"cell": task.cell, "description": plain[:MAX_DESCRIPTION]}
            storage.append_records(self._journal, [record])
            self._add(record)
        return self._descriptions[task.cell]

    @property
    def _total(self) -> int:
        return sum(task.number for task in self._tasks)

    def _seed_of(self, key: tuple[str, Phrases], what: str) -> int:
        return int.from_bytes(hashlib.sha256(f"{self._seed}/{key}/{what}".encode()).digest()[:4], "big") >> 1

    def prompts(self) -> Iterator[WrittenPrompt]:
        """Yield the written prompts, class by class."""
        for task in self._tasks:
            for (cell, phrases), texts in self._written.items():
                if cell == task.cell:
                    for text in texts:
                        author = self._authors[cell, text]
                        yield WrittenPrompt(task.class_name, text, task.attribute, phrases=phrases, author=author)

    def missing(self) -> dict[str, int]:
        """Return, per class or group, how many prompts the model did not write."""
        counts = Counter(cell for (cell, _), texts in self._written.items() for _ in texts)
        return {task.cell: task.number - counts[task.cell] for task in self._tasks if counts[task.cell] < task.number}
