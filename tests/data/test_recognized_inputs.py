"""Each row of the table of recognized inputs in docs/howto/data.md holds."""

import io
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import synaug
from synaug.config import DataOptions
from synaug.data import read_image
from synaug.errors import DataError
from synaug.pipeline import load_data
from synaug.recipes import make_recipe

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "data.md"
ROWS = {}
PIXELS = iter(range(10**6))  # seeds, so that no two images are equal
BOTH = ["cat"] * 3 + ["dog"] * 3


def row(cell):
    def add(check):
        ROWS[cell] = check
        return check

    return add


def noise(size=(12, 16)):
    return np.random.default_rng(next(PIXELS)).integers(0, 256, (*size, 3), dtype=np.uint8)


def save(path, data=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    if data is None:
        Image.fromarray(noise()).save(path, "PNG")
    else:
        path.write_bytes(data)
    return path


def encoded(image, kind, **more):
    buffer = io.BytesIO()
    image.save(buffer, kind, **more)
    return buffer.getvalue()


def tree(root, *folders, number=2):
    for folder in folders:
        for place in range(number):
            save(root / folder / f"{place}-{len(folder)}{folder.count('t')}{folder[-1]}.png")
    return root


def table(root, columns, name="t.csv", **more):
    for number in range(6):
        save(root / "i" / f"{number}.png")
    frame = pd.DataFrame({"path": [f"i/{number}.png" for number in range(6)]} | columns)
    frame.to_csv(root / name, index=False, **more)
    return root / name


def read(source, **options):
    return synaug.read_data(source, DataOptions(near_duplicates=False, **options))


def counted(source, **options):
    found = read(source, **options)
    names = np.array(found.class_names)[found.labels]
    return dict(Counter(zip(found.frame["split"], names.tolist(), strict=True)))


def refused(source, *words, **options):
    with pytest.raises(DataError) as raised:
        read(source, **options)
    assert all(word in str(raised.value) for word in words), raised.value


@row("`cat/1.jpg`, `dog/1.jpg`")
def class_folders(root):
    save(tree(root, "cat", "dog") / "cat" / "a" / "b" / "deep.png")
    assert counted(root) == {("train", "cat"): 3, ("train", "dog"): 2}


@row("`train/cat/…`, `Testing/cat/…`, `valid_set/…`, `seg_test/seg_test/…`, `test2017/…`")
def split_folders(root):
    for number, (spelled, split) in enumerate(
        [("Testing", "test"), ("valid_set", "validation"), ("seg_test/seg_test", "test"), ("test2017", "test"),
         ("dev", "validation"), ("eval", "test"), ("VAL", "validation")]
    ):  # fmt: skip
        place = tree(root / str(number), "train/cat", "train/dog", f"{spelled}/cat", f"{spelled}/dog")
        assert counted(place) == {(s, c): 2 for s in ("train", split) for c in ("cat", "dog")}
    both = tree(root / "both", *(f"{split}/{name}" for split in ("train", "eval", "test") for name in ("cat", "dog")))
    assert counted(both)["validation", "cat"] == 2


@row("`cat/train/…`, `cat/test/…`")
def splits_below_classes(root):
    tree(root, "cat/train", "cat/test", "dog/train", "dog/test")
    assert counted(root) == {(s, c): 2 for s in ("train", "test") for c in ("cat", "dog")}


@row("one folder around everything, `__MACOSX`, hidden files, run directories and exports of synaug")
def folders_around(root):
    tree(root, "pets/cat", "pets/dog", "__MACOSX/pets/cat")
    save(root / "pets" / "cat" / ".hidden.png")
    save(root / "pets" / "run" / "plan.json", b"{}")
    save(root / "pets" / "run" / "synaug.lock.json", b"{}")
    save(root / "pets" / "run" / "synthetic" / "cat" / "0.png")
    found = read(root)
    assert counted(root) == {("train", "cat"): 2, ("train", "dog"): 2}
    assert len(found.left_out) >= 3


@row("`part1/cat/…`, `part2/dog/…`, `train/part1/cat/…`")
def parts(root):
    tree(root / "a", "part1/cat", "part1/dog", "part2/dog")
    assert counted(root / "a") == {("train", "cat"): 2, ("train", "dog"): 4}
    tree(root / "b", "train/part1/cat", "train/part2/dog", "test/cat", "test/dog")
    assert counted(root / "b") == {(s, c): 2 for s in ("train", "test") for c in ("cat", "dog")}


@row("`train/1.jpg`, `val/2.jpg` without class folders")
def splits_without_classes(root):
    refused(tree(root, "train", "val"), "no labels", "--layout classes")
    assert read(root, layout="classes").class_names == ("train", "val")


@row("`2020/cat/…`, `2021/cat/…`")
def unclear_folders(root):
    refused(tree(root, "2020/cat", "2020/dog", "2021/cat", "2021/dog"), "--layout classes", "--splits")
    assert counted(root, splits={"2021": "test", "2020": "train"})["test", "cat"] == 2


@row("`train/cat/…` and `extra/…`")
def an_extra_folder(root):
    refused(tree(root, "train/cat", "train/dog", "extra/cat", "extra/dog"), "--splits extra=")
    assert counted(root, splits={"extra": "none"}) == {("train", "cat"): 2, ("train", "dog"): 2}


@row("`train/cat/…` and images directly in `test/`")
def an_unlabeled_test_split(root):
    tree(root, "train/cat", "train/dog", "test")
    found = read(root)
    assert set(found.frame["split"]) == {"train"}
    assert found.notes or found.left_out


@row("a class folder without images")
def an_empty_class(root):
    save(tree(root, "cat", "dog") / "bird" / "notes.txt", b"none")
    assert read(root).class_names == ("cat", "dog")
    assert any("bird" in note for note in read(root).notes)


@row("a class with one image, or without a test image")
def a_class_without_test_images(root):
    tree(root / "one", "cat", "dog", number=4)
    save(root / "one" / "bird" / "only.png")
    tree(root / "none", "train/cat", "train/dog", "train/bird", "test/cat", "test/dog")
    for place in ("one", "none"):
        with pytest.raises(DataError, match=r"bird.*incomplete_classes"):
            load_data(root / place, make_recipe({}))
        found = load_data(root / place, make_recipe({"data": {"incomplete_classes": "drop"}}))
        assert found.class_names == ("cat", "dog")


@row(
    "PNG, JPEG (`.jpg`, `.jpeg`, `.jpe`, `.jfif`), WebP, AVIF, TIFF, GIF, BMP, JPEG 2000, PNM, QOI, TGA; files without "
    "suffix"
)
def kinds_of_files(root):
    kinds = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".webp": "WEBP",
             ".avif": "AVIF", ".tif": "TIFF", ".gif": "GIF", ".bmp": "BMP", ".jp2": "JPEG2000", ".ppm": "PPM",
             ".tga": "TGA", "": "PNG", ".JPG": "PNG", ".qoi": "QOI"}  # fmt: skip
    for suffix, kind in kinds.items():
        save(root / "a" / f"image{suffix}", encoded(Image.fromarray(noise()), kind))
    tree(root, "b")
    assert counted(root)["train", "a"] == len(kinds)


@row("`.heic`")
def heic(root):
    save(tree(root, "cat", "dog", number=60) / "cat" / "phone.heic", b"\0\0\0\x18ftypheic" + b"\0" * 40)
    found = read(root)
    assert [item.path for item in found.quarantined] == ["cat/phone.heic"]


@row("transparent, CMYK, LAB, palette, 16-bit, floating-point and rotated images")
def pixel_modes(root):
    picture = Image.fromarray(noise())
    clear = picture.convert("RGBA")
    clear.putalpha(0)
    upright = Image.Exif()
    upright[0x0112] = 6
    deep = np.linspace(0, 65535, 192).reshape(12, 16)
    save(root / "a" / "clear.png", encoded(clear, "PNG"))
    save(root / "a" / "cmyk.jpg", encoded(picture.convert("CMYK"), "JPEG"))
    save(root / "a" / "lab.tif", encoded(picture.convert("LAB"), "TIFF"))
    save(root / "a" / "palette.png", encoded(picture.convert("P"), "PNG"))
    save(root / "a" / "deep.png", encoded(Image.fromarray(deep.astype(np.uint16)), "PNG"))
    save(root / "a" / "float.tif", encoded(Image.fromarray((deep / 65535).astype(np.float32)), "TIFF"))
    save(root / "a" / "rotated.jpg", encoded(picture, "JPEG", exif=upright))
    save(root / "a" / "guess.tif", encoded(Image.fromarray((deep / 65535 - 0.5).astype(np.float32)), "TIFF"))
    found = read(tree(root, "b"), max_unreadable=0.5)
    assert [item.path for item in found.quarantined] == ["a/guess.tif"]
    images = {Path(path).stem: np.asarray(read_image(found, r)) for r, path in enumerate(found.frame["path"])}
    assert (images["clear"] == 255).all()
    assert images["rotated"].shape[:2] == (16, 12)
    assert all(image.dtype == np.uint8 for image in images.values())
    assert all(np.ptp(images[name]) > 200 for name in ("deep", "float", "cmyk", "lab", "palette"))


@row("animated GIF, WebP and PNG, TIFF of several pages")
def several_frames(root):
    frames = [Image.fromarray(noise()) for _ in range(3)]
    for suffix in ("gif", "webp", "png", "tif"):
        frames[0].save(save(root / "a" / f"x.{suffix}"), save_all=True, append_images=frames[1:])
    assert any("4 images have several frames" in note for note in read(tree(root, "b")).notes)


@row("empty files, Git LFS pointers")
def files_without_content(root):
    save(tree(root, "a", "b") / "a" / "empty.png", b"")
    save(root / "b" / "pointer.png", b"version https://git-lfs.github.com/spec/v1\n")
    reasons = " ".join(item.reason for item in read(root, max_unreadable=0.6).quarantined)
    assert "is empty" in reasons
    assert "git lfs pull" in reasons


@row(
    "a table with blanks, backslashes, empty columns, UTF-16, Excel's `sep=;` line, absolute paths or `file://` "
    "addresses inside its folder"
)
def tables_as_people_have_them(root):
    plain = counted(table(root, {"label": BOTH}))
    where = [root / "i" / f"{number}.png" for number in range(6)]
    for columns in (
        {"label": [f" {name} " for name in BOTH]},
        {"path": [f"i\\{number}.png" for number in range(6)], "label": BOTH},
        {"label": BOTH, "Unnamed: 2": [None] * 6},
        {"path": list(map(str, where)), "label": BOTH},
        {"path": [place.as_uri() for place in where], "label": BOTH},
    ):
        assert counted(table(root, columns)) == plain
    assert counted(table(root, {"label": BOTH}, encoding="utf-16")) == plain
    lines = table(root, {"label": BOTH}, sep=";").read_text()
    (root / "t.csv").write_text(f"sep=;\n{lines}")
    assert counted(root / "t.csv") == plain


@row("`https://` or other addresses")
def addresses(root):
    for kind in ("https", "s3"):
        refused(table(root, {"path": [f"{kind}://host/a.png"] * 6, "label": BOTH}), "reads files only")


@row("a table in Latin-1 or another encoding")
def another_encoding(root):
    refused(table(root, {"label": ["Käse"] * 3 + ["dog"] * 3}, encoding="latin-1"), "Save it as UTF-8")


@row("`image_id,label` with names but no suffix or folder")
def names_without_suffix(root):
    table(root, {"label": BOTH})
    pd.DataFrame({"image_id": [str(number) for number in range(6)], "label": BOTH}).to_csv(root / "t.csv", index=False)
    assert counted(root / "t.csv") == {("train", "cat"): 3, ("train", "dog"): 3}


@row('labels `1`, `1.0`, `" 1 "`; shape (N, 1); one-hot')
def spellings_of_a_number(root):
    assert read(table(root, {"label": ["1", "1.0", " 1 ", "0", "0.0", "0"]})).labels.tolist() == [1, 1, 1, 0, 0, 0]
    images, expected = np.stack([noise() for _ in range(6)]), [1, 1, 1, 0, 0, 0]
    for labels in (np.array(expected)[:, None], np.eye(2)[expected], np.array(expected, float)):
        assert synaug.read_data((images, labels)).labels.tolist() == expected


@row("`cat\\|fish`, `[0, 1]`, several ones in a row")
def several_labels(root):
    refused(table(root, {"label": ["cat|fish", "cat", "fish"] * 2}), "one class per image")
    refused(table(root, {"label": ["[0, 1]", "[1, 0]", "[1, 1]"] * 2}), "list")
    with pytest.raises(DataError, match="one class per image"):
        synaug.read_data((np.stack([noise() for _ in range(3)]), [[1, 1], [0, 1], [1, 0]]))


@row("fractions, probabilities, mostly distinct values")
def no_classes(root):
    refused(table(root, {"label": [0.5, 0.25, 0.5, 0.25, 0.5, 0.25]}))
    with pytest.raises(DataError):
        synaug.read_data((np.stack([noise() for _ in range(3)]), [[0.7, 0.3], [0.2, 0.8], [0.4, 0.6]]))
    images = np.stack([noise() for _ in range(40)])
    with pytest.raises(DataError, match="different values"):
        synaug.read_data((images, [f"name {number}" for number in range(40)]))


@row("invisible characters around a label; inside it")
def invisible_characters(root):
    assert read(table(root, {"label": ["cat\u200b", "\ufeffcat", "cat", *BOTH[3:]]})).class_names == ("cat", "dog")
    refused(table(root, {"label": ["ca\u200bt", "cat", "dog"] * 2}), "differ only by")


@row("labels such as `nan`, `?`, `unlabeled`, or `-1` beside 0, 1, ...")
def words_for_nothing(root):
    for word, other in (("nan", "cat"), ("?", "cat"), ("unlabeled", "cat"), ("-1", "0")):
        found = read(table(root, {"label": [word, other, other] * 2}))
        assert set(found.class_names) == {word, other}
        assert any("missing label" in note for note in found.notes)


@row("class names that Windows refuses, such as `CON` or `what?`")
def names_on_windows(root):
    found = read(table(root, {"label": ["CON", "what?", "cat"] * 2}))
    assert found.num_classes == 3
    assert any("Windows" in note for note in found.notes)


@row("`is_synthetic` of true/false, 0/1, yes/no")
def synthetic_images(root):
    for yes, no in (("true", "false"), (1, 0), ("yes", "no")):
        columns = {"label": ["cat", "dog"] * 3, "is_synthetic": [no] * 4 + [yes] * 2,
                   "split": ["train"] * 2 + ["test"] * 4}  # fmt: skip
        found = read(table(root, columns))
        assert not found.split("test").is_synthetic.any()
        assert len(found.split("test")) == 2


@row("a column `split`, or one such as `subset` whose values all name splits")
def split_columns(root):
    halves = ["train", "test"] * 3
    for name in ("split", "subset"):
        found = read(table(root, {"label": BOTH, name: halves}))
        assert found.frame["split"].value_counts().to_dict() == {"train": 3, "test": 3}
    found = read(table(root, {"label": BOTH, "fold": [0, 1, 2] * 2}))
    assert any("--split-column fold" in note for note in found.notes)


@row("split values `0`, `1`, `2`")
def split_numbers(root):
    columns = {"label": ["cat", "dog"] * 3, "split": [0, 0, 1, 1, 2, 2]}
    assert read(table(root, columns)).frame["split"].tolist() == ["train"] * 2 + ["validation"] * 2 + ["test"] * 2
    assert any("--splits 1=test" in note for note in read(table(root, columns | {"split": [0, 0, 1, 1, 1, 1]})).notes)
    for numbers in ([1, 1, 2, 2, 2, 2], [0, 0, 1, 1, 3, 3]):
        refused(table(root, columns | {"split": numbers}), "--splits")
    named = {"3": "test", "0": "train", "1": "train"}
    assert len(read(table(root, columns | {"split": [0, 0, 1, 1, 3, 3]}), splits=named).split("test")) == 2


@row("spreadsheets, archives, `.json`, `.npz`")
def other_files(root):
    for name in ("a.xlsx", "a.zip", "a.json", "a.npz"):
        refused(save(root / name, json.dumps({}).encode()), "not a table")


@row("`--split-column is_train` of true/false, 0/1, yes/no")
def truth_values(root):
    for yes, no in (("true", "false"), (1, 0), ("yes", "no")):
        found = read(table(root, {"label": ["cat", "dog"] * 3, "is_train": [yes] * 4 + [no] * 2}), split="is_train")
        assert found.frame["split"].tolist() == ["train"] * 4 + ["test"] * 2


@pytest.mark.parametrize("cell", ROWS)
def test_a_row_of_the_table_holds(cell, tmp_path):
    ROWS[cell](tmp_path)


def test_every_row_of_the_table_is_checked():
    rows = PAGE.read_text().partition("| you have |")[2].partition("\n\n")[0].splitlines()[2:]
    cells = [re.split(r"(?<!\\)\|", line)[1].strip() for line in rows]
    assert cells == list(ROWS)
