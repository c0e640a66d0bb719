"""Test that Ray workers make the same images as one process, whichever dies; uses real Ray with two local workers."""

import contextlib
import functools
import hashlib
import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import yaml
from PIL import Image

from synaug import cli
from synaug.config import QualityOptions
from synaug.errors import EnvironmentFault, Interrupted, OptionError
from synaug.pipeline import generate as generate_stage
from synaug.run_directory import Run
from synaug.runtime import signals
from synaug.synthesis.execution.provenance import synthetic_manifest
from synaug.synthesis.execution.ray_cluster import synthesize_on_cluster
from synaug.synthesis.execution.ray_connection import Cluster, cluster_named
from synaug.synthesis.planning.plan_file import read_plan

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray's own files and sockets
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
TWO = Cluster(workers=2)
RECIPE = {
    "plan": {"model": "embedded", "target": 40},
    "quality": {"gates": ["broken", "collapse"], "max_attempts": 5},
}


def slow_noise(pause=0.0, victim=None, fault=None, stuck=None):
    """Return a generator of noise that waits, may fail, and kills its process while the file ``victim`` does not exist.

    If a folder ``stuck`` exists, the process leaves its number there and hangs.

    The file is created before dying, if its folder exists.
    """

    def noise(prompts, *, seeds):
        import os
        import pathlib
        import signal
        from time import sleep

        import numpy as np
        from PIL import Image

        sleep(pause)
        if victim is not None and not pathlib.Path(victim).exists():
            if pathlib.Path(victim).parent.is_dir():
                pathlib.Path(victim).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if fault is not None:
            raise fault
        if stuck is not None:
            pathlib.Path(stuck, str(os.getpid())).touch()
            sleep(3600)
        for seed in seeds:  # few different ones, so that some collapse
            yield Image.fromarray(np.random.default_rng(seed % 40).integers(0, 256, (16, 16, 3), dtype=np.uint8))

    noise.batch_size = 4
    return noise


def contents(folder):
    """Return the digest of each synthetic image; there are no other files beside them."""
    files = (path for path in sorted((folder / "synthetic").rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def planned(photos, tmp_path_factory):
    """Return a function that makes a fresh run directory with nothing generated."""
    recipe = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE))

    def plan(out, *more):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["synaug", *map(str, ["plan", photos, "--out", out, "--recipe", recipe, *more])])
            with contextlib.suppress(SystemExit):
                cli.main()
        return out

    return plan


@pytest.fixture(scope="module")
def expected(planned, tmp_path_factory):
    """The images of one undisturbed process, some of them after rejections."""
    folder = planned(tmp_path_factory.mktemp("expected") / "run")
    result = generate_stage.generate(Run.open(folder), generator=slow_noise())
    assert result.rejected["collapse"] > 10
    return contents(folder), result


@pytest.fixture(scope="module")
def ray():
    """Ray with two cores, started once for this file."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray = pytest.importorskip("ray")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ray.init(
        "local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=1 << 27,
    )
    for number, handler in handlers.items():
        signal.signal(number, handler)
    yield ray
    ray.shutdown()


def as_expected(folder, result, expected):
    images, alone = expected
    assert contents(folder) == images
    assert (result.requested, result.accepted, result.missing) == (alone.requested, alone.accepted, alone.missing)
    assert len(synthetic_manifest(read_plan(folder / "plan.json"), folder)) == len(images)


def test_two_workers_generate_the_images_of_one_process(planned, tmp_path, expected, ray):
    folder, shown = planned(tmp_path / "run"), []
    result = generate_stage.generate(
        Run.open(folder), generator=slow_noise(0.1), cluster=TWO, progress=lambda *a: shown.append(a)
    )
    as_expected(folder, result, expected)
    assert result.rejected == expected[1].rejected
    assert sorted(path.name for path in (folder / "journal").iterdir()) == [
        "worker-0-of-2.jsonl",
        "worker-1-of-2.jsonl",
    ]
    assert any(0 < done < total for _, done, total, _ in shown)
    assert any(note.startswith("2 of 2 workers") for *_, note in shown)


def test_a_killed_worker_costs_nothing(planned, tmp_path, expected, ray):
    folder = planned(tmp_path / "run")
    result = generate_stage.generate(
        Run.open(folder), generator=slow_noise(0.02, victim=str(tmp_path / "died")), cluster=TWO
    )
    assert (tmp_path / "died").exists()
    as_expected(folder, result, expected)


@pytest.mark.long
def test_workers_that_always_die_end_the_work(planned, tmp_path, ray):
    folder = planned(tmp_path / "run")
    with pytest.raises(EnvironmentFault, match=r"3 workers.*\d.*2,"):
        generate_stage.generate(Run.open(folder), generator=slow_noise(victim="/nowhere/at/all"), cluster=TWO)


@pytest.mark.long
def test_a_request_to_stop_saves_and_one_process_resumes(planned, tmp_path, expected, ray):
    folder = planned(tmp_path / "run")

    def interrupt(stage, done, total, note):
        if done > 3 and not signals.is_requested():
            os.kill(os.getpid(), signal.SIGINT)

    with signals.graceful(), pytest.raises(Interrupted, match="rerun the same command"):
        generate_stage.generate(Run.open(folder), generator=slow_noise(0.3), cluster=TWO, progress=interrupt)
    assert 0 < len(contents(folder)) < len(expected[0])
    as_expected(folder, generate_stage.generate(Run.open(folder), generator=slow_noise()), expected)


@pytest.mark.long
def test_workers_that_never_stop_are_killed(planned, tmp_path, expected, ray, monkeypatch):
    folder, stuck = planned(tmp_path / "run"), tmp_path / "stuck"
    stuck.mkdir()
    monkeypatch.setattr(signals, "PATIENCE", 1.0)

    def interrupt(*_):
        if len(list(stuck.iterdir())) == 2:
            signals.request()

    with signals.graceful(), pytest.raises(Interrupted):
        generate_stage.generate(
            Run.open(folder), generator=slow_noise(stuck=str(stuck)), cluster=TWO, progress=interrupt
        )
    numbers, deadline = [int(path.name) for path in stuck.iterdir()], time.monotonic() + 60
    while any(psutil.pid_exists(number) for number in numbers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(psutil.pid_exists(number) for number in numbers)
    as_expected(folder, generate_stage.generate(Run.open(folder), generator=slow_noise()), expected)


def test_an_error_in_a_worker_arrives_as_it_was(planned, tmp_path, ray):
    folder = planned(tmp_path / "run")
    with pytest.raises(EnvironmentFault, match=r"^the disk is full$"):
        generate_stage.generate(
            Run.open(folder), generator=slow_noise(fault=EnvironmentFault("the disk is full")), cluster=TWO
        )


@pytest.mark.long
def test_a_bug_in_a_worker_arrives_as_it_was(planned, tmp_path, ray):
    folder = planned(tmp_path / "run")
    with pytest.raises(ZeroDivisionError, match="a bug"):
        generate_stage.generate(Run.open(folder), generator=slow_noise(fault=ZeroDivisionError("a bug")), cluster=TWO)


@pytest.mark.long
def test_a_missing_model_ends_as_without_ray(planned, tmp_path, synaug, ray):
    folder = planned(tmp_path / "run")
    alone = synaug("generate", folder, "--model", tmp_path / "no-model")
    done = synaug("generate", folder, "--engine", "ray", "--workers", "1")
    assert (done.code, alone.code) == (5, 5)
    assert done.err.splitlines()[-1] == alone.err.splitlines()[-1]


def test_a_machine_without_the_run_folder_is_named(planned, tmp_path):
    with pytest.raises(EnvironmentFault, match=r"cannot see the run directory .*must share its file system"):
        generate_stage.worker_image_maker(tmp_path / "nowhere", "digest")
    with pytest.raises(EnvironmentFault, match="or sees another plan there"):
        generate_stage.worker_image_maker(planned(tmp_path / "run"), "digest of another plan")


def test_without_ray_the_message_names_the_extra(planned, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EnvironmentFault, match=r"ray.*pip install 'synaug\[cluster\]'"):
        generate_stage.generate(Run.open(planned(tmp_path / "run")), cluster=TWO)


def test_engines_are_named():
    assert cluster_named("local") is None
    assert cluster_named("ray", workers=3, address="auto") == Cluster(3, "auto")
    with pytest.raises(OptionError, match=r"engine 'rai'..*'ray'\?.*local, ray"):
        cluster_named("rai")
    with pytest.raises(OptionError, match="--workers and --address require --engine ray"):
        cluster_named("local", workers=2)


def test_ray_divides_the_work_itself(synaug, tmp_path):
    done = synaug("generate", tmp_path, "--engine", "ray", "--shard", "1/2")
    assert (done.code, "remove --shard" in done.err) == (2, True)


@pytest.mark.long
def test_workers_fit_one_model_and_all_make_images_of_it(planned, tmp_path, ray):
    (tmp_path / "recipe.yaml").write_text(
        yaml.safe_dump(RECIPE | {"quality": {"gates": []}, "fit": {"steps": 6, "batch_size": 2}})
    )
    more = ("--variant", "fitted", "--cap", "8", "--recipe", tmp_path / "recipe.yaml")
    alone, folder = (planned(tmp_path / name, *more) for name in ("alone", "run"))
    plan, quality = read_plan(folder / "plan.json"), QualityOptions(gates=())
    begin = functools.partial(generate_stage.worker_image_maker, folder, plan.digest)
    result = synthesize_on_cluster(plan, begin, folder=folder, cluster=TWO, quality=quality)
    assert (result.accepted, result.missing) == (24, 0)
    assert len(list((folder / "journal").glob("worker-*"))) == 2
    assert (folder / "fitted-model" / "adapter" / "pytorch_lora_weights.safetensors").exists()
    generate_stage.image_maker(Run.open(alone))((0, 1), lambda *_: None)
    images, expected = ({name: Image.open(each / name) for name in contents(each)} for each in (folder, alone))
    assert images.keys() == expected.keys()
    different = [np.abs(np.asarray(images[name], int) - np.asarray(expected[name], int)).mean() for name in images]
    assert np.median(different) < 2  # sums differ in the last bit with the number of threads


COMMAND = """
import sys
sys.path.insert(0, sys.argv[1])
from test_ray_cluster import slow_noise
from synaug import cli
from synaug.pipeline import generate as stage
generate = stage.generate
stage.generate = lambda *run, **more: generate(*run, generator=slow_noise(1.5), **more)
sys.argv = ["synaug", *sys.argv[2:]]
cli.main()
"""
NODES = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from ray.cluster_utils import Cluster as Nodes
from test_ray_cluster import slow_noise
from synaug.pipeline.generate import generate
from synaug.run_directory import Run
from synaug.synthesis.execution.ray_connection import Cluster
nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
doomed, removing = nodes.add_node(num_cpus=1), []
def progress(stage, done, total, note):
    print(done, note, flush=True)
    if done > 8 and not removing:
        removing.append(threading.Thread(target=nodes.remove_node, args=(doomed, False)))
        removing[0].start()
generate(Run.open(sys.argv[2]), generator=slow_noise(0.5), cluster=Cluster(2, nodes.address), progress=progress)
assert removing
"""


def command(script, *arguments):
    """Start a process with this file's noise, without Ray's own output."""
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
    line = [sys.executable, "-c", script, os.path.dirname(__file__), *map(str, arguments)]
    return subprocess.Popen(line, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for_images(folder, process, number=6):
    """Wait until there are ``number`` images."""
    deadline = time.monotonic() + 240
    while len(list((folder / "synthetic").rglob("*.png"))) < number:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def rays_processes(process):
    """Return Ray's own processes that the command started."""
    below = psutil.Process(process.pid).children(recursive=True)
    return [each for each in below if each.name() in ("raylet", "gcs_server")]


@pytest.mark.long
@pytest.mark.parametrize("what", ["SIGTERM", "SIGINT", "SIGKILL", "raylet", "gcs_server"])
def test_the_command_or_ray_ended_and_repeated(planned, tmp_path, expected, what):
    folder = planned(tmp_path / "run")
    arguments = ("generate", folder, "--engine", "ray", "--workers", "2")
    with command(COMMAND, *arguments) as process:
        wait_for_images(folder, process)
        if what.startswith("SIG"):
            process.send_signal(getattr(signal, what))
        else:
            next(each for each in rays_processes(process) if each.name() == what).kill()
        _, said = process.communicate(timeout=300)
    print(what, "ended it with", process.returncode, said[-1500:])
    assert process.returncode != 0
    if what.startswith("SIG"):
        assert process.returncode == (-signal.SIGKILL if what == "SIGKILL" else 75), said
        assert 0 < len(synthetic_manifest(read_plan(folder / "plan.json"), folder)) < len(expected[0])
    with command(COMMAND, *arguments) as process:
        _, said = process.communicate(timeout=300)
    assert process.returncode == 3, said  # too many near-duplicates, as without Ray
    assert contents(folder) == expected[0]


@pytest.mark.long
def test_a_node_dies_and_the_other_one_makes_the_rest(planned, tmp_path, expected):
    folder = planned(tmp_path / "run")
    with command(NODES, folder) as process:
        shown, said = process.communicate(timeout=300)
    assert process.returncode == 0, said[-2000:]
    assert [line for line in shown.splitlines() if " of 2 workers" in line][-2].endswith("1 of 2 workers")
    assert contents(folder) == expected[0]
