"""Test what works without torch and its companions, and that everything else names the extra that installs them.

A process in which their import fails stands for ``pip install synaug`` without extras.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from synaug.errors import EnvironmentFault, MissingLibraryError
from synaug.runtime.libraries import EXTRAS, TRAINING, missing_library

LIGHT = f"""
from importlib.machinery import PathFinder

find_spec = PathFinder.find_spec

def find_other(cls, name, path=None, target=None):
    return None if name.partition(".")[0] in {set(TRAINING)!r} else find_spec(name, path, target)

PathFinder.find_spec = classmethod(find_other)
"""
COMMAND = LIGHT + "from synaug.__main__ import main; main()"


def light(*words, cwd):
    return subprocess.run([sys.executable, "-c", COMMAND, *words], capture_output=True, text=True, cwd=cwd)


@pytest.fixture
def predictions(tmp_path):
    (tmp_path / "predictions.csv").write_text("label,prediction,sex\n" + "cat,cat,f\ndog,cat,m\ncat,cat,m\n" * 8)
    return tmp_path


def test_counting_planning_and_evaluating_need_no_torch(predictions, photos):
    for words in (
        ["count", str(photos)],
        ["plan", str(photos), "--dry-run"],
        ["evaluate", "predictions.csv", "--attribute", "sex", "--html", "scores.html", "--figure", "scores.svg"],
        ["doctor"],
    ):
        done = light(*words, cwd=predictions)
        assert done.returncode == 0, (words, done.stderr)
    assert (predictions / "scores.html").is_file()


def test_a_run_names_the_extra_before_it_reads_the_images(tmp_path, photos):
    done = light("run", str(photos), "--model", "embedded", "--out", "run", cwd=tmp_path)
    assert done.returncode == EnvironmentFault.exit_code
    assert "pip install 'synaug[train]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_python_users_get_an_import_error_that_names_the_extra(tmp_path):
    code = LIGHT + (
        "import synaug\n"
        "from synaug.errors import MissingLibraryError\n"
        "import numpy as np\n"
        "for use in (lambda: synaug.train_representation,\n"
        "            lambda: synaug.balance((np.zeros((4, 8, 8), np.uint8), list('aaab')), model='embedded')):\n"
        "    try:\n"
        "        use()\n"
        "    except ImportError as error:\n"
        "        assert isinstance(error, MissingLibraryError) and 'synaug[train]' in str(error), error\n"
        "    else:\n"
        "        raise AssertionError\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("library", EXTRAS)
def test_each_library_of_an_extra_has_its_message(library):
    error = missing_library(ModuleNotFoundError(name=f"{library}.part"), "This")
    assert isinstance(error, MissingLibraryError)
    assert library in str(error)
    assert f"synaug[{EXTRAS[library]}]" in str(error)


def test_a_library_that_no_extra_installs_stays_an_import_error():
    assert missing_library(ModuleNotFoundError(name="numpy")) is None
    assert missing_library(ImportError("without a name")) is None


def test_the_extra_train_has_the_libraries_that_the_plain_install_lacks():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    plain, train = (
        {re.match(r"[\w-]+", each)[0] for each in group}
        for group in (project["dependencies"], project["optional-dependencies"]["train"])
    )
    assert train == set(TRAINING)
    assert not plain & {*TRAINING}
