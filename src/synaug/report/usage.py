"""Show how to use a finished classifier or an exported data set, as lines to type: for the terminal and the report."""

from __future__ import annotations

from pathlib import Path

from synaug.runtime.security import shell_word


def usage_lines(model: str | Path, *, suffix: str = ".jpg") -> list[str]:
    r"""Return a command and two lines of Python that classify new images with a run or an exported classifier.

    >>> print(*usage_lines("runs/photos"), sep="\n")
    synaug predict runs/photos new/*.jpg
    import synaug
    synaug.load_classifier("runs/photos").predict(["new/photo.jpg"])
    """
    return [
        f"synaug predict {shell_word(model)} new/*{suffix}",
        "import synaug",
        f'synaug.load_classifier({_quoted(model)}).predict(["new/photo{suffix}"])',
    ]


def data_usage_lines(folder: str | Path) -> list[str]:
    r"""Return a command and a line of Python that check and load an exported data set.

    >>> print(*data_usage_lines("balanced"), sep="\n")
    synaug verify balanced
    torchvision.datasets.ImageFolder("balanced/train")
    """
    return [
        f"synaug verify {shell_word(folder)}",
        f"torchvision.datasets.ImageFolder({_quoted(Path(folder) / 'train')})",
    ]


def _quoted(path: str | Path) -> str:
    """Return the path as a Python literal."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
