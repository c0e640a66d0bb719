"""Draw what ``synaug count`` prints about a messy folder, for the docs.

The folder is made of the embedded images: splits in other spellings, photographs with several suffixes, a broken file,
files that are no images, and an image that is in training and in the test split. The picture is the real output.

    python scripts/count_picture.py
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.text import Text

from synaug.data import read_data, read_image
from synaug.recipes import read_recipe
from synaug.runtime import demo_data, demo_recipe

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "count.svg"
COLUMNS = 110
TREE = {"Training": {"bag": 96, "coat": 41, "ankle boot": 12}, "Testing": {"bag": 9, "coat": 8, "ankle boot": 6}}
SUFFIXES = ("png", "jpg", "jfif", "webp")
STRAY = ("Training/.DS_Store", "Training/bag/Thumbs.db", "Training/coat/notes.txt", "__MACOSX/Training/bag/._1.png")


def make_messy_folder(folder: Path) -> None:
    """Write the folder."""
    images = read_data(demo_data(), read_recipe(demo_recipe()).data)
    rows = {name: iter((images.labels == label).nonzero()[0]) for label, name in enumerate(images.class_names)}
    for split, classes in TREE.items():
        for name, number in classes.items():
            (folder / split / name).mkdir(parents=True)
            for place in range(number):
                image = read_image(images, int(next(rows[name])))
                image.save(folder / split / name / f"{place}.{SUFFIXES[place % len(SUFFIXES)]}")
    for name in STRAY:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("no image")
    whole = (folder / "Training" / "bag" / "0.png").read_bytes()
    (folder / "Training" / "bag" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "Testing" / "bag" / "again.png").write_bytes(whole)


def main() -> None:
    with TemporaryDirectory() as place:
        make_messy_folder(Path(place) / "photos")
        settings = {"FORCE_COLOR": "1", "COLUMNS": str(COLUMNS), "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"}
        command = [sys.executable, "-m", "synaug", "count", "photos"]
        done = subprocess.run(
            command, cwd=place, env=os.environ | settings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
        )
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(Text("$ synaug count photos"))
    console.print(Text.from_ansi(done.stdout.decode()))
    drawn = console.export_svg(title="synaug count", unique_id="count")
    drawn = re.sub(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", "", drawn, flags=re.DOTALL)  # fonts would come from a server
    PICTURE.write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
