"""Test that a report reaches the tracker of its run once, and only the trackers that may have it."""

import importlib.machinery
import shutil
import sys
import types

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from synaug.pipeline.reporting.report import report
from synaug.pipeline.reporting.track_report import report_pictures, report_tables
from synaug.recipes import with_overrides
from synaug.report import ReportImages
from synaug.run_directory import Run, RunPaths, locked_recipe, replace_recipe
from synaug.training.tracking import TRACKERS, is_local_tracker, log_report


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def track(run, tracker, wanted=None):
    paths = RunPaths(run)
    changes = {"train.track": tracker} | ({} if wanted is None else {"train.track_report": wanted})
    replace_recipe(paths, with_overrides(locked_recipe(paths), changes))


def test_tensorboard_shows_the_tables_and_a_picture_per_class_once(run):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    track(run, "tensorboard")
    content = report(Run.open(run))
    report(Run.open(run))  # the same content: not sent again
    assert len(list((run / "tracking" / "report").iterdir())) == 1
    shown = EventAccumulator(str(run / "tracking" / "report"))
    shown.Reload()
    names = content["data"]["class_names"]
    assert {tag.partition(" ")[2] for tag in shown.Tags()["images"]} == set(names)
    texts = {name: shown.Tensors(f"{name}/text_summary")[0] for name in report_tables(content)}
    table = texts["classes"].tensor_proto.string_val[0].decode()
    assert all(name in table for name in names)
    assert "| synaug |" in texts["results"].tensor_proto.string_val[0].decode()


@pytest.mark.parametrize("wanted", [None, False])
def test_a_service_receives_no_report_unless_it_is_requested(run, wanted, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)  # importing it would be an error
    track(run, "wandb", wanted)
    report(Run.open(run))
    assert not (run / "tracking").exists()


def test_trackers_with_a_server_elsewhere_are_not_local(monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "TRACKIO_SPACE_ID"):
        monkeypatch.delenv(name, raising=False)
    assert [name for name in TRACKERS if is_local_tracker(name)] == ["tensorboard", "mlflow", "trackio"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("TRACKIO_SPACE_ID", "me/space")
    assert [name for name in TRACKERS if is_local_tracker(name)] == ["tensorboard"]


@pytest.fixture
def package(monkeypatch):
    """Stand in for the package of a tracker; record its calls as (name, arguments, options)."""

    def install(name):
        calls, module = [], types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)  # accelerate looks for it

        def recorded(function, result=None):
            return lambda *arguments, **options: calls.append((function, arguments, options)) or result

        run = types.SimpleNamespace(log=recorded("log"), finish=recorded("finish"))
        module.init = recorded("init", run)
        module.Table, module.Image = (lambda **options: options["dataframe"]), (lambda image: image)
        for function in ("set_tracking_uri", "create_experiment", "start_run", "log_table", "log_image", "end_run"):
            setattr(module, function, recorded(function, "1"))
        module.search_experiments = lambda **_: []
        monkeypatch.setitem(sys.modules, name, module)
        return calls

    return install


TABLES = {"results": pd.DataFrame({"method": ["a|b"], "accuracy": [0.5]})}
PICTURES = {"00 big/../cat": Image.new("RGB", (4, 4))}


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_service_gets_tables_and_pictures_as_its_own_types(package, name, tmp_path):
    calls = package(name)
    log_report(name, name="report", folder=tmp_path, tables=TABLES, pictures=PICTURES)
    logged = {key: value for function, given, _ in calls if function == "log" for key, value in given[0].items()}
    assert set(logged) == {"results", "examples/00 big/../cat"}
    assert logged["results"].equals(TABLES["results"])
    assert calls[-1][0] == "finish"


def test_mlflow_gets_artifacts_whose_names_stay_in_their_folder(package, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    calls = package("mlflow")
    log_report("mlflow", name="report", folder=tmp_path, tables=TABLES, pictures=PICTURES)
    files = [options["artifact_file"] for function, _, options in calls if function.startswith("log_")]
    assert files == ["results.json", "examples/00_big____cat.png"]
    assert calls[-1][0] == "end_run"


def test_pictures_have_a_row_per_kind_and_the_rarest_class_first(finished):
    content = report(Run.open(finished))
    tile = Image.fromarray(np.zeros((28, 28), dtype=np.uint8))
    images = ReportImages(real={"bag": [tile] * 3, "ankle boot": [tile]}, rejected={"bag": [(tile, "off_class")]})
    pictures = report_pictures(content, images)
    assert {name: picture.size for name, picture in pictures.items()} == {
        "00 ankle boot": (72, 72),
        "01 bag": (208, 140),
    }
