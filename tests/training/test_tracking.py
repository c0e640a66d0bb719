"""Every tracker gets the numbers, keeps its files in the run directory, and a failure names the way out."""

import importlib.machinery
import sys
import types

import pytest

from synaug.config import TrainOptions
from synaug.errors import DataError, EnvironmentFault, OptionError
from synaug.training.tracking import TRACKERS, tracked


class Recorder:
    """Stands in for the package of a tracker: records how it is called."""

    def __init__(self):
        self.started, self.logged, self.finished = [], [], 0

    def init(self, **options):
        self.started.append(options)
        return self

    def log(self, values, step=None, **_):
        self.logged.append((values, step))

    def finish(self, *_, **__):
        self.finished += 1


@pytest.fixture
def service(monkeypatch):
    recorder = Recorder()

    def install(name):
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)  # accelerate looks for it
        module.init, module.log, module.finish = recorder.init, recorder.log, recorder.finish
        monkeypatch.setitem(sys.modules, name, module)
        return recorder

    return install


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_service_gets_the_numbers_under_the_name_of_method_and_seed(service, name, tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    recorder = service(name)
    with tracked(name, name="synaug-0", folder=tmp_path) as track:
        track({"loss": 0.5, "learning_rate": 0.1}, step=10)
    assert recorder.logged == [({"loss": 0.5, "learning_rate": 0.1}, 10)]
    assert (recorder.started[0]["project"], recorder.started[0]["name"]) == ("synaug", "synaug-0")
    assert recorder.finished == 1
    if name == "wandb":
        assert recorder.started[0]["dir"] == str(tmp_path)


def test_mlflow_writes_into_the_run_directory_unless_a_server_is_named(tmp_path, monkeypatch):
    places, logged = [], []
    module = types.ModuleType("mlflow")
    module.__spec__ = importlib.machinery.ModuleSpec("mlflow", None)
    module.set_tracking_uri = places.append
    module.search_experiments = lambda **_: []
    module.create_experiment = lambda **options: places.append(options["artifact_location"]) or "1"
    module.start_run = lambda **options: logged.append(options["run_name"])
    module.log_metrics = lambda values, step=None: logged.append((values, step))
    module.end_run = lambda: logged.append("end")
    monkeypatch.setitem(sys.modules, "mlflow", module)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with tracked("mlflow", name="synaug-0", folder=tmp_path) as track:
        track({"loss": 0.5}, step=10)
    assert places == [f"sqlite:///{tmp_path}/mlflow.db", tmp_path.as_uri()]
    assert logged == ["synaug-0", ({"loss": 0.5}, 10), "end"]
    places.clear()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    with tracked("mlflow", name="synaug-0", folder=tmp_path):
        pass
    assert places == [None]


@pytest.mark.parametrize("name", ["wandb", "mlflow", "trackio"])
def test_a_missing_package_is_named(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(EnvironmentFault, match=rf"pip install {name}"), tracked(name, name="x", folder=tmp_path):
        pass


def test_a_service_that_does_not_answer_names_its_offline_mode(service, tmp_path):
    recorder = service("wandb")

    def fails(**_):
        raise ConnectionError("no route")

    sys.modules["wandb"].init = fails
    with pytest.raises(EnvironmentFault, match="WANDB_MODE=offline"), tracked("wandb", name="x", folder=tmp_path):
        pass
    assert recorder.finished == 0


def test_the_tracker_ends_even_if_the_training_fails(service, tmp_path):
    recorder = service("wandb")
    with pytest.raises(RuntimeError), tracked("wandb", name="x", folder=tmp_path):
        raise RuntimeError
    assert recorder.finished == 1


def test_the_option_allows_exactly_the_existing_trackers(tmp_path):
    for name in TRACKERS:
        assert TrainOptions(track=name).track == name
    with pytest.raises(OptionError), tracked("neptune", name="x", folder=tmp_path):
        pass


@pytest.mark.parametrize("name", ["wandb", "mlflow.db", "mlruns/0"])
def test_a_tracker_writes_through_no_link_that_leads_elsewhere(tmp_path, name):
    home, folder = tmp_path / "home", tmp_path / "tracking"
    home.mkdir()
    (folder / name).parent.mkdir(parents=True)
    (folder / name).symlink_to(home)
    (folder / "latest").symlink_to(folder)  # as trackers make them
    with pytest.raises(DataError, match="link that leads out"), tracked("tensorboard", name="x", folder=folder):
        pass
    assert not list(home.iterdir())
