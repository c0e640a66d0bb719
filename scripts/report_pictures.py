"""Take screenshots of the report for the docs: in both themes, on a phone, its top only, and printed.

Needs chromium and Ghostscript.

    synaug demo --out runs/demo
    python scripts/report_pictures.py runs/demo/report.html
"""

import argparse
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

IMAGES = Path(__file__).parents[1] / "docs" / "images"
CHROMIUM = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
DARK = "(prefers-color-scheme: dark)"
PHONE = '<body style="margin: 0"><iframe src="{page}" style="border: 0; width: 390px; height: 2400px"></iframe>'
COLORS, PAGES_A_ROW, GAP = 96, 4, 6


def shot(page: Path, name: str, width: int, height: int) -> None:
    """Save a screenshot of that size; chromium's windows are at least 500 pixels wide, so it may be cropped."""
    path = IMAGES / f"{name}.png"
    size = f"--window-size={max(500, width)},{height}"
    subprocess.run([*CHROMIUM, size, f"--screenshot={path}", page.as_uri()], check=True, stderr=subprocess.DEVNULL)
    save(Image.open(path).convert("RGB").crop((0, 0, width, height)), name)


def save(image: Image.Image, name: str) -> None:
    image.quantize(COLORS, dither=Image.Dither.NONE).save(IMAGES / f"{name}.png", optimize=True)


def printed(page: Path, folder: Path) -> None:
    """Save all printed pages, side by side."""
    pdf = folder / "report.pdf"
    command = [*CHROMIUM, "--no-pdf-header-footer", f"--print-to-pdf={pdf}", page.as_uri()]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    pages_of = ["gs", "-q", "-dSAFER", "-dBATCH", "-dNOPAUSE", "-sDEVICE=png16m", "-r40", "-dTextAlphaBits=4"]
    subprocess.run(
        [*pages_of, "-dGraphicsAlphaBits=4", f"-sOutputFile={folder / 'page-%03d.png'}", str(pdf)], check=True
    )
    pages = [Image.open(path).convert("RGB") for path in sorted(folder.glob("page*.png"))]
    width, height = (side + GAP for side in pages[0].size)
    sheet = Image.new("RGB", (PAGES_A_ROW * width + GAP, -(-len(pages) // PAGES_A_ROW) * height + GAP), "#8a8a8a")
    for number, image in enumerate(pages):
        sheet.paste(image, (GAP + number % PAGES_A_ROW * width, GAP + number // PAGES_A_ROW * height))
    save(sheet, "print")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    page = parser.parse_args().report.resolve()
    with TemporaryDirectory() as place:
        folder = Path(place)
        dark, phone = folder / "dark.html", folder / "phone.html"
        text = page.read_text()
        assert DARK in text, f"{page} has no dark theme"
        dark.write_text(text.replace(DARK, "all"))
        phone.write_text(PHONE.format(page=page.as_uri()))
        shot(page, "report", 1200, 1800)
        shot(page, "report-top", 1200, 1350)
        shot(dark, "report-dark", 1200, 1800)
        shot(phone, "report-phone", 390, 2400)
        printed(page, folder)


if __name__ == "__main__":
    main()
