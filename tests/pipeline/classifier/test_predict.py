"""Test that a finished classifier labels new images in any input form like the run's test images."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import synaug as package
from synaug.data.manifest import read_image
from synaug.data.manifest_file import read_manifest
from synaug.errors import DataError, OptionError
from synaug.pipeline.classifier.export_classifier import export_classifier
from synaug.pipeline.classifier.predict import load_classifier, predict_files
from synaug.run_directory import RunPaths
from synaug.runtime import storage


@pytest.fixture(scope="module")
def classifier(finished):
    return load_classifier(finished)


@pytest.fixture(scope="module")
def test_images(finished):
    """The test images of the run: paths and gray pixels."""
    test = read_manifest(finished / "data.parquet").split("test")
    paths = [test.absolute_path(row) for row in range(len(test))]
    return paths, np.stack([np.asarray(read_image(test, row)) for row in range(len(test))])


def test_a_run_predicts_its_test_images_as_its_predictions_say(finished, test_images):
    expected = pd.read_csv(RunPaths(finished).predictions)["prediction"].tolist()
    chosen = f"checkpoints/{json.loads((finished / 'choice.json').read_text())['chosen']}-0"
    for place in ("", chosen, f"{chosen}/classifier.safetensors"):
        assert package.load_classifier(finished / place).predict(test_images[0]) == expected


def test_probabilities_are_one_row_per_image_in_the_order_of_the_classes(classifier, test_images):
    found = classifier.predict_proba(test_images[0], batch_size=3)
    assert found.shape == (len(test_images[0]), 3)
    assert found.sum(1) == pytest.approx(1)
    assert [classifier.class_names[label] for label in found.argmax(1)] == classifier.predict(test_images[0])


FORMS = {
    "paths as text": lambda paths, pixels: [str(path) for path in paths],
    "an array of paths": lambda paths, pixels: np.array([str(path) for path in paths]),
    "a series of paths": lambda paths, pixels: pd.Series(paths, index=range(5, 5 + len(paths))),
    "bytes": lambda paths, pixels: (path.read_bytes() for path in paths),
    "as datasets encodes them": lambda paths, pixels: [{"bytes": path.read_bytes(), "path": None} for path in paths],
    "Pillow": lambda paths, pixels: [Image.fromarray(each) for each in pixels],
    "Pillow in color": lambda paths, pixels: [Image.fromarray(each).convert("RGB") for each in pixels],
    "Pillow with transparency": lambda paths, pixels: [Image.fromarray(each).convert("RGBA") for each in pixels],
    "Pillow with a palette": lambda paths, pixels: [Image.fromarray(each).convert("P") for each in pixels],
    "arrays (H, W)": lambda paths, pixels: list(pixels),
    "arrays (H, W, 3)": lambda paths, pixels: [np.dstack([each] * 3) for each in pixels],
    "one array (N, H, W)": lambda paths, pixels: pixels,
    "one array (N, H, W, 1)": lambda paths, pixels: pixels[..., None],
    "one array (N, 1, H, W)": lambda paths, pixels: pixels[:, None],
    "one array (N, 3, H, W)": lambda paths, pixels: np.stack([pixels] * 3, axis=1),
    "floats": lambda paths, pixels: pixels / 255,
    "floats of 32 bits": lambda paths, pixels: [(each / 255).astype(np.float32) for each in pixels],
    "one tensor (N, 1, H, W)": lambda paths, pixels: torch.tensor(pixels)[:, None],
    "tensors (3, H, W)": lambda paths, pixels: [torch.tensor(each).expand(3, -1, -1) for each in pixels],
    "tensors with gradients": lambda paths, pixels: [torch.tensor(each / 255, requires_grad=True) for each in pixels],
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_images_get_the_same_classes_in_every_form(form, classifier, test_images):
    assert classifier.predict(FORMS[form](*test_images)) == classifier.predict(test_images[0])


@pytest.mark.parametrize(
    ("image", "channels"),
    [
        (np.zeros((8, 6), np.uint8), 3),
        (np.zeros((8, 6, 3), np.uint8), 3),
        (np.zeros((8, 6, 1), np.uint8), 1),
        (np.zeros((1, 8, 6), np.uint8), 1),
        (np.zeros((3, 8, 6), np.uint8), 3),
        (torch.zeros(3, 8, 6), 3),
        (torch.zeros(1, 8, 6), 1),
        (torch.zeros(8, 6, dtype=torch.bfloat16), 1),
        (Image.new("CMYK", (6, 8)), 3),
        (Image.new("I;16", (6, 8)), 1),
    ],
)
def test_one_image_is_one_answer(image, channels):
    from synaug.data.formats.memory.image_inputs import iterate_images

    (found,) = iterate_images(image, channels=channels)
    assert found.size == (6, 8)


def test_one_path_gives_one_prediction_and_no_image_gives_none(classifier, test_images):
    assert len(classifier.predict(test_images[0][0])) == 1
    assert classifier.predict([]) == []
    assert classifier.predict_proba([]).shape == (0, 3)


def test_three_gray_images_in_one_array_are_three_answers_of_a_gray_classifier(classifier, test_images):
    assert len(classifier.predict(test_images[1][:3])) == 3


@pytest.mark.parametrize(
    "images",
    [
        [np.zeros((5, 4, 7), np.uint8)], np.zeros((2, 3, 4, 4, 3), np.uint8), [np.full((4, 4), 5.0)],
        [np.full((4, 4), np.nan)], [np.full((4, 4), -1, np.int64)], [None], 3, [(np.zeros((4, 4), np.uint8), 1)],
        [b"no image"], "absent.png", [1.5, 2.5], np.array([1.5]), torch.tensor(0.5), {"image": 1},
    ],
)  # fmt: skip
def test_bytes_that_are_not_an_image_are_a_data_error(images, classifier):
    with pytest.raises(DataError):
        classifier.predict(images)


def test_a_method_and_a_seed_can_be_chosen(finished, test_images, tmp_path):
    chosen = load_classifier(finished, method="cross_entropy")
    assert (chosen.method, chosen.seed) == ("cross_entropy", 0)
    expected = pd.read_csv(RunPaths(finished).method_predictions("cross_entropy", 0))["prediction"].tolist()
    assert chosen.predict(test_images[0]) == expected
    with pytest.raises(DataError, match=r"'focal' of seed 0\. Finished: .*--methods focal"):
        load_classifier(finished, method="focal")
    with pytest.raises(DataError, match=r"seed 7.*Finished seeds: 0"):
        load_classifier(finished, seed=7)
    export_classifier(finished, tmp_path / "model")
    with pytest.raises(OptionError, match="not a run directory"):
        load_classifier(tmp_path / "model", method="synaug")
    with pytest.raises(DataError, match="does not exist"):
        load_classifier(tmp_path / "absent")


# ---------------------------------------------------------------- files and the command


def test_predictions_of_a_labeled_tree_are_scored_by_evaluate(synaug, finished, photos, tmp_path):
    for suffix in (".csv", ".tsv", ".jsonl"):
        out = tmp_path / f"predictions{suffix}"
        assert synaug("predict", finished, photos, "--top", "2", "--out", out).code == 0
        done = synaug("evaluate", out, "--json")
        assert done.code == 0
        assert '"num_images": 42' in done.out


def test_the_table_has_the_most_probable_classes_first(classifier, photos):
    table = predict_files(classifier, [photos / "bag"], top=9, batch_size=7).table
    ranks = [[f"prediction{n}", f"probability{n}"] for n in ("", "_2", "_3")]
    assert list(table) == ["image", "label", *ranks[0], *ranks[1], *ranks[2]]
    assert set(table["label"]) == {"bag"}
    assert (table["probability"] >= table["probability_2"]).all()
    assert table[["probability", "probability_2", "probability_3"]].sum(axis=1).to_numpy() == pytest.approx(1)


def test_a_table_of_paths_gives_images_and_labels(classifier, photos, tmp_path):
    shutil.copytree(photos, tmp_path / "photos")
    first = sorted((tmp_path / "photos/bag").iterdir())[0]
    (tmp_path / "new.csv").write_text(f"file_name,label\nphotos/bag/{first.name},coat\n")
    table = predict_files(classifier, [tmp_path / "new.csv"]).table
    assert (table["image"].tolist(), table["label"].tolist()) == ([str(first)], ["coat"])


def test_images_without_a_class_get_no_labels(classifier, photos, tmp_path):
    shutil.copy(next((photos / "bag").iterdir()), tmp_path / "one.png")
    assert "label" not in predict_files(classifier, [photos, tmp_path / "one.png"]).table


def test_an_unreadable_file_is_named_and_the_others_are_predicted(synaug, finished, photos, tmp_path):
    storage.write_text(storage.make_folder(tmp_path / "new") / "broken.png", "text")
    shutil.copy(next((photos / "bag").iterdir()), tmp_path / "new/good.png")
    done = synaug("predict", finished, tmp_path / "new", "--json")
    assert done.code == 4
    assert "good.png" in done.out
    assert "1 of 2 images" in done.err
    assert "broken.png" in done.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["absent.png"], 4), (["{photos}", "--out", "p.txt"], 2), (["{photos}", "--top", "0"], 2), (["{empty}"], 4)],
)
def test_unusable_images_are_named_before_any_work(arguments, code, synaug, finished, photos, tmp_path):
    given = [part.format(photos=photos, empty=storage.make_folder(tmp_path / "empty")) for part in arguments]
    assert synaug("predict", finished, *given).code == code


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_predictions_replace_only_earlier_predictions(synaug, finished, photos, tmp_path, suffix):
    image, out = next((photos / "bag").iterdir()), tmp_path / f"x{suffix}"
    for top in (1, 3, 2):
        assert synaug("predict", finished, image, "--top", top, "--out", out).code == 0
    written = out.read_bytes()
    for content in ("image,label\n", "my notes", "", '{"image": "a"}', "[]", "image\tprediction\n", "\0\xff"):
        out.write_text(content)
        done = synaug("predict", finished, image, "--out", out)
        assert (done.code, out.read_text()) == (2, content)
        assert "does not contain predictions" in done.err
    (tmp_path / "other").write_bytes(written)
    out.unlink()
    out.symlink_to(tmp_path / "other")
    assert synaug("predict", finished, image, "--out", out).code == 2
    assert out.is_symlink()
    assert (tmp_path / "other").read_bytes() == written


def test_predictions_do_not_replace_their_sources(synaug, finished, photos, tmp_path):
    table = tmp_path / "x.csv"
    assert synaug("predict", finished, photos / "bag", "--out", table).code == 0
    written = table.read_bytes()
    for out in (table, tmp_path / "y" / ".." / "x.csv"):
        (tmp_path / "y").mkdir(exist_ok=True)
        done = synaug("predict", finished, table, "--out", out)
        assert done.code == 2
        assert "one of the files to predict" in done.err
    assert table.read_bytes() == written


def test_the_terminal_shows_a_line_per_image(synaug, finished, photos):
    image = next((photos / "bag").iterdir())
    done = synaug("predict", finished, image, "--top", "3")
    assert done.code == 0
    assert done.out.count("%") == 3
    chosen = json.loads((finished / "choice.json").read_text())["chosen"]
    assert f"Classifier: {chosen}" in done.out


def test_the_transcript_in_the_docs_has_the_form_of_the_output(synaug, finished, photos, monkeypatch):
    page = (Path(__file__).parents[3] / "docs" / "howto" / "predict.md").read_text()
    shown = page.partition("```text\n$ synaug predict")[2].partition("```")[0].splitlines()[1:]
    monkeypatch.chdir(photos)
    images = [next(Path(name).glob("*.png")) for name in ("bag", "coat", "ankle boot")]
    printed = synaug("predict", finished, *images).out.splitlines()
    for *rows, last in (shown, printed):
        assert len(rows) == 3
        assert all(re.fullmatch(r"\S.*\.\w+  +\S.*  +\d+\.\d %", row) for row in rows)
        assert len({len(row) for row in rows}) == 1  # the shares end below one another
        assert re.fullmatch(r"Classifier: \w+", last)


def test_prediction_needs_no_diffusers(finished, photos, tmp_path):
    image = str(next((photos / "bag").iterdir()))
    code = (
        "import sys; sys.modules['diffusers'] = None; sys.modules['transformers'] = None\n"
        "import synaug; from synaug.cli import main\n"
        f"assert len(synaug.load_classifier({str(finished)!r}).predict({image!r})) == 1\n"
        f"sys.argv = ['synaug', 'predict', {str(finished)!r}, {str(photos)!r}, '--out', {str(tmp_path / 'p.csv')!r}]\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(tmp_path / "p.csv")) == 42


def test_the_last_lines_of_a_report_show_how_to_use_the_model(synaug, finished):
    done = synaug("report", finished)
    assert f"synaug predict {finished} new/*.png" in done.out.replace("\n", "")
    assert "synaug.load_classifier(" in done.out.splitlines()[-1]
    assert "synaug predict" in (finished / "report.html").read_text()


def test_a_pattern_that_the_shell_left_is_expanded(finished, test_images, synaug, tmp_path):
    for number, path in enumerate(test_images[0][:3]):
        shutil.copy(path, tmp_path / f"{number}.png")
    done = synaug("predict", finished, tmp_path / "*.png", "--json")
    assert [row["image"] for row in json.loads(done.out)] == [str(tmp_path / f"{number}.png") for number in range(3)]
    assert synaug("predict", finished, tmp_path / "*.jpg").code == 4
