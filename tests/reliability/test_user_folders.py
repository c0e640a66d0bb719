"""Test adversarial user folders: files in place of a run, runs inside data, foreign tables."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from synaug.data.readers import read_data
from synaug.errors import DataError
from synaug.run_directory import Run, foreign_files
from synaug.runtime.ownership import MARKER
from synaug.runtime.records.sealed import read_sealed, write_sealed

METHODS = ("--methods", "synaug_stage1")
RECIPE = {
    "plan": {"model": "embedded", "target": 6},
    "generate": {"steps": 2, "batch_size": 4},
    "quality": {"gates": ["broken"], "max_missing": 1.0},
    "cross_validate": {"folds": 0},
    "train": {"network": "resnet8", "image_size": 8, "stage1": {"steps": 2, "batch_size": 4}},
}


@pytest.fixture
def work(tmp_path, save_image, monkeypatch):
    """A working folder with photos and a recipe."""
    for label, number in (("bag", 6), ("coat", 4), ("boot", 3)):
        for i in range(number):
            save_image(tmp_path / "photos" / label / f"{i}.png", seed=100 * len(label) + ord(label[0]) + 17 * i)
    (tmp_path / "r.yaml").write_text(json.dumps(RECIPE))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def state(folder):
    return {str(path): path.is_file() and path.read_bytes() for path in sorted(folder.rglob("*"))}


# ---------------------------------------------------------------- OUT is ours or empty


@pytest.mark.parametrize(
    "command",
    [
        ("run", "photos", "--recipe", "r.yaml", "--out", "mine"),
        ("plan", "photos", "--recipe", "r.yaml", "--out", "mine"),
        ("demo", "--out", "mine"),
        ("run", "photos", "--recipe", "r.yaml", "--out", "photos"),
        ("plan", "photos", "--recipe", "r.yaml", "--out", "."),
    ],
)
def test_a_folder_of_the_users_is_refused_before_anything_changes(synaug, work, command):
    mine = work / "mine"
    (mine / "checkpoints" / "cross_entropy-0").mkdir(parents=True)
    for name in ("report.html", "report.json", "predictions.csv", "data.parquet", "checkpoints/cross_entropy-0/w.bin"):
        (mine / name).write_text("mine")
    (mine / "checkpoints" / "cross_entropy-0" / "result.json").write_text("{}")
    before = state(work)
    done = synaug(*command)
    assert (done.code, "is not empty and is not a run directory" in done.err) == (2, True), done.err
    assert any(name in done.err for name in ("'checkpoints'", "'bag'", "'mine'"))
    assert state(work) == before


def test_a_bench_folder_of_the_users_is_refused(synaug, work):
    (work / "b.yaml").write_text(json.dumps(RECIPE | {"bench": {"arms": {"text": {"methods": ["cross_entropy"]}}}}))
    (work / "mine").mkdir()
    (work / "mine" / "bench.md").write_text("mine")
    before = state(work)
    for more in ((), ("--table",)):
        done = synaug("bench", "b.yaml", "--data", "photos", "--out", "mine", *more)
        assert (done.code, "'bench.md'" in done.err) == (2, True), done.err
    assert state(work) == before


def test_a_run_below_the_images_can_be_repeated_and_is_not_a_class(synaug, work, monkeypatch):
    monkeypatch.chdir(work / "photos")
    first = synaug("plan", ".", "--recipe", "../r.yaml")
    assert first.code == 0, first.err
    assert synaug("generate", "runs/photos").code == 0
    again = synaug("plan", ".", "--recipe", "../r.yaml")
    assert again.code == 0, again.err
    counted = json.loads(synaug("count", ".", "--json").out)
    assert counted["class_counts"] == {"bag": 6, "boot": 3, "coat": 4}
    other = synaug("plan", ".", "--recipe", "../r.yaml", "--out", "../other", "--json")
    assert list(json.loads(other.out)["have"]) == ["bag", "boot", "coat"]


def test_an_export_below_the_images_is_not_a_class(synaug, work):
    assert synaug("run", "photos", "--recipe", "r.yaml", "--out", "run", *METHODS).code == 0
    assert synaug("export", "run", "--out", "photos/balanced").code == 0
    assert synaug("export", "run", "--out", "photos/bag/deep/model", "--classifier", "synaug_stage1").code == 0
    assert read_data(work / "photos").class_names == ("bag", "boot", "coat")
    assert len(read_data(work / "photos")) == 13
    assert len(read_data(work / "photos" / "balanced")) > 13


def test_a_folder_named_runs_that_is_not_a_run_is_a_class_like_any_other(work, save_image):
    save_image(work / "photos" / "runs" / "0.png")
    assert "runs" in read_data(work / "photos").class_names


def test_a_run_directory_is_not_a_data_set(synaug, work):
    assert synaug("plan", "photos", "--recipe", "r.yaml", "--out", "run").code == 0
    done = synaug("count", "run")
    assert (done.code, "is a run directory of synaug, not a data set" in done.err) == (4, True)


@pytest.mark.parametrize("place", [".", "mounted"])
def test_an_export_fills_the_folder_that_one_is_in_or_a_mount_point(synaug, work, monkeypatch, place):
    assert synaug("plan", "photos", "--recipe", "r.yaml", "--out", "run").code == 0
    assert synaug("generate", "run").code == 0
    out = work / "out"
    out.mkdir()
    if place == "mounted" and subprocess.run(["mount", "-t", "tmpfs", "tmpfs", out], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        monkeypatch.chdir(out if place == "." else work)
        done = synaug("export", work / "run", "--out", "." if place == "." else "out")
        assert done.code == 0, done.err
        assert synaug("verify", out).code == 0
        assert {path.name for path in out.iterdir()} >= {"train", "test", "SHA256SUMS", MARKER}
        assert synaug("export", work / "run", "--out", out).code == 0  # the same command again
    finally:
        monkeypatch.chdir(work)
        if place == "mounted":
            subprocess.run(["umount", out], check=True)


def test_foreign_files_in_a_run_are_left_alone_and_named_once(synaug, work):
    assert synaug("run", "photos", "--recipe", "r.yaml", "--out", "run", *METHODS).code == 0
    run = work / "run"
    assert foreign_files(run) == []  # every file that synaug wrote is recognized
    (run / "notes.txt").write_text("mine")
    (run / "checkpoints" / "synaug_stage1-0" / "thoughts.md").write_text("mine")
    (run / "checkpoints" / "old-copy").mkdir()
    result = run / "checkpoints" / "synaug_stage1-0" / "result.json"
    content = read_sealed(result, way_out="")
    write_sealed(result, content | {"synthetic": f"0{content['synthetic']}"})  # as if for other images
    done = synaug("train", "run", *METHODS)
    assert done.code == 0, done.err
    assert done.err.count("notes.txt") == 1
    assert "checkpoints/synaug_stage1-0/thoughts.md" in done.err
    assert (run / "notes.txt").read_text() == "mine"
    assert (run / "checkpoints" / "synaug_stage1-0" / "thoughts.md").read_text() == "mine"
    assert (run / "checkpoints" / "old-copy").is_dir()
    assert synaug("status", "run").code == 0


# ---------------------------------------------------------------- names


def test_classes_that_are_shortened_alike_keep_their_own_images(synaug, work, save_image):
    for label, number in (("Type", 6), ("Type 2", 3), ("Type β", 3)):
        for i in range(number):
            save_image(work / "types" / label / f"{i}.png", seed=sum(map(ord, label)) + 31 * i)
    assert synaug("plan", "types", "--recipe", "r.yaml", "--out", "run").code == 0
    assert synaug("generate", "run").code == 0
    lines = [json.loads(line) for line in (work / "run/journal/worker-0-of-1.jsonl").read_text().splitlines()]
    accepted = [line for line in lines if line.get("verdict") == "accepted"]
    assert (
        len({line["path"] for line in accepted}) == len(accepted) == len(list((work / "run/synthetic").rglob("*.png")))
    )
    assert len({(line["cell"], line["path"].split("/")[1]) for line in accepted}) == 3


def test_groups_whose_names_run_together_are_generated_and_end(work):
    from synaug.data.manifest import from_arrays
    from synaug.experiment import balance

    groups = [(0, 0, 2), (1, 1, 2), (0, 1, 5), (1, 0, 4)]  # both of the first two would be named a | b | c
    rows = [(label, attribute) for label, attribute, number in groups for _ in range(number)]
    manifest = from_arrays(
        np.random.default_rng(0).integers(0, 256, (len(rows), 8, 8, 3), np.uint8),
        [label for label, _ in rows],
        class_names=["a", "a | b"],
        attributes=[attribute for _, attribute in rows],
        attribute_names=["b | c", "c"],
    )

    def noise(prompts, *, seeds):
        return [Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)) for seed in seeds]

    options = {"quality.gates": ("broken",)}
    balanced = balance(manifest, model="embedded", by="group", out=work / "run", generator=noise, options=options)
    counts = balanced.frame.groupby(["label", "attribute"]).size()
    assert counts.tolist() == [5, 5, 5, 5]


def test_a_journal_whose_slots_never_settle_ends(synaug, work, monkeypatch):
    """With the guard disabled, the rounds would continue forever."""
    from synaug.synthesis.execution.journal import State

    assert synaug("plan", "photos", "--recipe", "r.yaml", "--out", "run").code == 0
    monkeypatch.setattr(State, "add", lambda self, record: None)
    done = synaug("generate", "run")
    assert (done.code, "plan and journal do not match" in done.err) == (4, True)


# ---------------------------------------------------------------- tables that pose as manifests

OK = {"class_names": ["a", "b"], "attribute_names": [], "root": None, "quarantined": []}


@pytest.fixture
def manifest(work):
    """Write a Parquet file that claims to be a synaug manifest of images in ``private``."""
    (work / "photos").rename(work / "private")
    (work / "d").mkdir()
    paths = sorted((work / "private" / "bag").iterdir())
    rows = {
        "id": [f"x{k}" for k in range(len(paths))],
        "path": [str(path).lstrip("/") for path in paths],
        "label": [k % 2 for k in range(len(paths))],
        "attribute": -1,
        "split": ["train" if k < 4 else "test" for k in range(len(paths))],
        "source": "real",
        "sha256": "",
    }

    def write(about=None, name="m.parquet", **columns):
        table = pa.Table.from_pandas(pd.DataFrame(rows | columns), preserve_index=False)
        metadata = {b"synaug": json.dumps(OK | {"root": "/"} if about is None else about).encode()}
        pq.write_table(table.replace_schema_metadata(metadata), work / "d" / name)
        return work / "d" / name

    return write


@pytest.mark.parametrize("root", ["/", "..", "../private", "d/../.."])
def test_a_manifest_cannot_name_images_outside_its_folder(synaug, manifest, work, root):
    path = manifest(OK | {"root": root if root == "/" else str(work / "d" / root)})
    done = synaug("plan", path, "--recipe", "r.yaml", "--out", "run")
    assert (done.code, (work / "run").exists()) == (4, False), done.err


@pytest.mark.parametrize("path", ["../private/bag/0.png", "/etc/hostname"])
def test_nor_by_its_paths(manifest, work, path):
    with pytest.raises(DataError, match=r"not allowed|outside"):
        read_data(manifest(OK | {"root": str(work / "d")}, path=[path] * 6))


@pytest.mark.parametrize(
    "about",
    [
        {}, [], OK | {"quarantined": [1]}, OK | {"root": 5}, OK | {"class_names": "ab"}, OK | {"class_names": [1, 2]},
        OK | {"class_names": ["a"]}, OK | {"class_names": ["a", "a"]}, OK | {"attribute_names": None},
    ],
)  # fmt: skip
def test_a_malformed_description_is_bad_data(manifest, about):
    with pytest.raises(DataError, match=r"not a manifest of synaug"):
        read_data(manifest(about))


@pytest.mark.parametrize(
    "columns",
    [{"split": "no"}, {"label": "a"}, {"label": 7}, {"label": 0.5}, {"attribute": 3}, {"source": "x"}, {"id": "x"},
     {"path": 3}, {"sha256": 1.5}],
)  # fmt: skip
def test_malformed_columns_are_bad_data(manifest, columns):
    with pytest.raises(DataError, match=r"not a manifest of synaug"):
        read_data(manifest(**columns))


# ---------------------------------------------------------------- two at once


def test_an_export_beside_generate_has_the_finished_images_and_removes_none(synaug, work):
    from synaug.data.export.verify import verify_dataset
    from synaug.pipeline.export import export
    from synaug.pipeline.generate import generate

    assert synaug("plan", "photos", "--recipe", "r.yaml", "--out", "run").code == 0
    sizes = []

    def noise(prompts, *, seeds):
        number = len(sizes)
        export(Run.open(work / "run"), work / f"export-{number}")
        assert verify_dataset(work / f"export-{number}") == []
        sizes.append(len(list((work / f"export-{number}" / "train").rglob("*.png"))))
        return [Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)) for seed in seeds]

    noise.batch_size = 2
    made = generate(Run.open(work / "run"), generator=noise)
    assert (made.accepted, made.missing) == (made.requested, 0)
    assert len(sizes) > 2
    assert sizes == sorted(sizes)


def test_two_exports_at_once_never_mix(synaug, work, monkeypatch):
    """The first one pauses before its last step until the second, of another method, is finished."""
    from synaug.errors import OptionError
    from synaug.pipeline.classifier import export_classifier as stage

    assert synaug("run", "photos", "--recipe", "r.yaml", "--out", "run", "--methods", "cross_entropy,synaug").code == 0
    real = stage.put_in_place

    def late(*arguments, **options):
        monkeypatch.setattr(stage, "put_in_place", real)
        stage.export_classifier("run", "c", method="cross_entropy")
        real(*arguments, **options)

    monkeypatch.setattr(stage, "put_in_place", late)
    with pytest.raises(OptionError, match=r"not empty"):
        stage.export_classifier("run", "c", method="synaug")
    trained = work / "run" / "checkpoints" / "cross_entropy-0" / "classifier.safetensors"
    assert (work / "c" / "classifier.safetensors").read_bytes() == trained.read_bytes()
    assert "cross_entropy" in (work / "c" / "README.md").read_text().split("\n# ")[1].split("\n")[0]
    assert {path.name for path in work.iterdir()} == {"photos", "r.yaml", "run", "c"}


# ---------------------------------------------------------------- commands that must end


def test_pipes_and_devices_in_data_exports_and_models_are_named(synaug, work):
    os.mkfifo(work / "photos" / "bag" / "pipe.png")
    done = synaug("count", "photos")
    assert (done.code, "named pipe" in done.err) == (4, True)
    (work / "photos" / "bag" / "pipe.png").unlink()
    os.mkfifo(work / "t.csv")
    assert synaug("count", "t.csv").code == 4
    (work / "e").mkdir()
    os.mkfifo(work / "e" / "SHA256SUMS")
    assert synaug("verify", "e").code == 4
    (work / "model" / "unet").mkdir(parents=True)
    (work / "model" / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    os.mkfifo(work / "model" / "unet" / "diffusion_pytorch_model.safetensors")
    done = synaug("run", "photos", "--model", "model", "--out", "run")
    assert (done.code, "named pipe" in done.err, (work / "run").exists()) == (5, True, False)


def test_a_pipe_in_an_export_is_named_and_nothing_waits_for_it(synaug, work):
    assert synaug("plan", "photos", "--recipe", "r.yaml", "--out", "run").code == 0
    assert synaug("generate", "run").code == 0
    assert synaug("export", "run", "--out", "e").code == 0
    image = next((work / "e" / "train" / "bag").glob("*.png"))
    image.unlink()
    os.mkfifo(image)
    done = synaug("verify", "e", "--json")
    assert done.code == 4
    assert json.loads(done.out)["problems"] == [f"{image.relative_to(work / 'e')} is a named pipe, not a file."]


@pytest.mark.parametrize("kind", ["pipe", "endless"])
def test_pipes_and_endless_files_are_not_waited_for(synaug, work, kind):
    for suffix in ("yaml", "csv", "tsv", "jsonl", "parquet", "py", "png"):
        path = work / f"x.{suffix}"
        os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    commands = [
        *(("plan", "photos", "--out", "o", option, "x.yaml") for option in ("--recipe", "--aliases")),
        ("plan", "photos", "--out", "o", "--aliases", "x.csv"), ("bench", "x.yaml", "--data", "photos"),
        *((name, f"x.{s}") for name in ("count", "evaluate", "doctor") for s in ("csv", "tsv", "jsonl", "parquet")),
        ("run", "photos", "--recipe", "r.yaml", "--out", "o", "--network", "x.py:Net"),
    ]  # fmt: skip
    for command in commands:
        done = synaug(*command)
        what = "a named pipe" if kind == "pipe" else "a device"
        assert done.code in (2, 4), command
        assert what in done.err or "not a regular file" in done.err, (command, done.err)
    assert not (work / "o").exists()


def test_folders_nested_deeply_end(synaug, work):
    handle = os.open(work / "photos" / "bag", os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("deep", dir_fd=handle)
        below = os.open("deep", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(handle)
    try:
        assert synaug("count", "photos").code in (0, 4)
        (work / "model").mkdir()
        (work / "photos" / "bag" / "deep").rename(work / "model" / "deep")
        assert synaug("run", "photos", "--model", "model", "--out", "run").code == 5
    finally:  # pytest's own cleanup is recursive
        subprocess.run(["rm", "-rf", work / "photos", work / "model"], check=True)


ANSWERING = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"  # also in a background job


def test_an_interruption_while_libraries_are_imported_ends_quietly(work):
    """Python itself takes some hundredths of a second before our code can handle signals."""
    program = ANSWERING + (
        "import builtins, os, sys\n"
        "import synaug.__main__ as start\n"
        "real = builtins.__import__\n"
        "def importing(name, *rest):\n"
        "    if name == 'synaug.cli': os.kill(os.getpid(), signal.SIGINT)\n"
        "    return real(name, *rest)\n"
        "builtins.__import__ = importing\n"
        "sys.argv = ['synaug', 'count', 'photos']\n"
        "start.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (
        75,
        "synaug: Interrupted. Finished work is saved; rerun the same command to resume.\n",
    )


@pytest.mark.long
def test_a_bench_interrupted_while_its_processes_import_ends_with_75(work):
    arms = {"text": {"methods": ["cross_entropy", "synaug_stage1"]}}
    slow = RECIPE | {"train": RECIPE["train"] | {"stage1": {"steps": 3000, "batch_size": 4}}, "bench": {"arms": arms}}
    (work / "b.yaml").write_text(json.dumps(slow))
    program = ANSWERING + (
        "import os, threading\n"
        "from synaug.bench import processes\n"
        "from synaug import cli\n"
        "real = processes.ProcessPoolExecutor.submit\n"
        "def submit(*a, **k):\n"
        "    future = real(*a, **k)\n"
        "    threading.Timer(float(os.environ['DELAY']), os.killpg, (0, signal.SIGINT)).start() if not done else None\n"
        "    done.append(1)\n"
        "    return future\n"
        "done = []\n"
        "processes.ProcessPoolExecutor.submit = submit\n"
        "if __name__ == '__main__':\n"
        "    cli.main()\n"
    )
    (work / "program.py").write_text(program)
    for delay in ("0.1", "1.0"):
        done = subprocess.run(
            [sys.executable, "program.py", "bench", "b.yaml", "--data", "photos", "--out", f"b{delay}", "--seeds", "2",
             "--jobs", "2"],
            env=os.environ | {"DELAY": delay}, capture_output=True, text=True, start_new_session=True, timeout=300,
        )  # fmt: skip
        assert (done.returncode, "Traceback" in done.stderr) == (75, False), done.stderr
