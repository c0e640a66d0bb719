"""Take the pictures of the review page for the docs: on a desktop with some decisions, and on a phone in the dark.

Needs chromium. Copies the run first, so its decisions stay as they are.

    synaug demo --out runs/demo
    python scripts/review_pictures.py runs/demo
"""

import argparse
import io
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

import chromium
from synaug.pipeline.review import ReviewServer, ReviewSession
from synaug.run_directory import Run

IMAGES = Path(__file__).parents[1] / "docs" / "images"
READY = "document.querySelectorAll('.tile img').length > 8 && [...document.images].every((image) => image.complete)"
SAVED = "document.getElementById('saved').textContent === 'Saved'"
COLORS = 96


def save(picture: bytes, name: str) -> None:
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.quantize(COLORS, dither=Image.Dither.NONE).save(IMAGES / f"{name}.png", optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    with TemporaryDirectory() as place:
        run = shutil.copytree(parser.parse_args().run, Path(place) / "run")
        with ReviewServer(ReviewSession(Run.open(run))) as server, chromium.opened(1200, 760) as page:
            page.theme("light")
            page.open(server.url)
            page.wait(READY)
            page.press("ArrowRight", "a", "r", "ArrowRight", "ArrowRight", "a", "ArrowDown", "r")
            page.wait(SAVED)
            save(page.picture(), "review")
            page.theme("dark")
            page.size(390, 780, mobile=True)
            page.wait(READY)
            page.press("Home")
            page.wait(READY)
            save(page.picture(), "review-phone")


if __name__ == "__main__":
    main()
