"""Test that the site builds without warnings, loads nothing external, and has a complete reference."""

import doctest
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

import checkpointed_training
import import_picture
import reference_pages
import site_pages
import synaug
from synaug.cli import app
from synaug.config import Recipe
from synaug.methods import METHODS
from synaug.recipes import make_recipe

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return the folder of the site, built as `make docs` does."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_the_site_loads_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        text = page.read_text()
        loaded = re.findall(r'<(?:script|img|iframe|source)[^>]* src="?([^" >]+)', text)
        loaded += re.findall(r'<link[^>]* rel="?(?:stylesheet|preconnect|icon)[^>]* href="?([^" >]+)', text)
        assert loaded
        assert not [each for each in loaded if "//" in each], page.name


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs the chromium browser")
def test_the_search_works_if_the_site_is_opened_from_the_disk(site, tmp_path):
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=8000", "--dump-dom"]
    command = [
        "chromium",
        *options,
        f"--user-data-dir={tmp_path / 'profile'}",
        f"{(site / 'index.html').as_uri()}?q=leakage",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert re.search(r"md-search-result__meta\">\d+ matching documents", done.stdout)


def test_every_public_name_has_a_place_on_the_site(site):
    text = (site / "reference" / "python.html").read_text()
    for name in synaug.__all__:
        assert f'id="{getattr(synaug, name).__module__}.{name}"' in text


def test_no_mark_is_left_and_an_unknown_one_is_an_error(site):
    assert not [page for page in site.rglob("*.html") if "made by make docs:" in page.read_text()]
    with pytest.raises(KeyError, match="optoins"):
        site_pages.filled_in("<!-- made by make docs: optoins -->")


def test_links_of_the_root_pages_lead_to_the_site():
    text = site_pages.root_page("README.md")
    assert "](method.md)" in text
    assert "](changelog.md)" in text
    assert "](docs/" not in text


def test_every_option_is_described():
    for name, kind in reference_pages.sections(Recipe, ""):
        assert kind.__doc__, name
        for key, field in kind.model_fields.items():
            assert field.description or list(reference_pages.models_of(field.annotation)), f"{name}.{key}"


def test_the_page_of_options_shows_type_default_and_limits():
    page = reference_pages.options()
    assert "## `train.stage1`" in page
    assert "| text | `text` | `text`, `intra`, `inter`, `fitted`, `reference`, `inpaint` |" in page
    assert "no test split | number | `0.2` | above 0, below 1 |" in page
    assert "## `bench.arms.NAME`" in page


def test_the_names_that_the_page_of_options_adds_are_options():
    for dotted, names in reference_pages.known_names().items():
        *sections, last = dotted.split(".")
        kind = dict(reference_pages.sections(Recipe, ""))[".".join(sections)]
        assert last in kind.model_fields
        assert names, dotted
    assert make_recipe({"train": {"stage1": {"loss": "focal"}}})


def test_the_page_of_commands_names_every_option():
    page = reference_pages.commands()
    for name, command in typer.main.get_command(app).commands.items():
        section = page.split(f"## synaug {name}\n")[1].split("\n## ")[0]
        for parameter in command.params:
            if parameter.param_type_name == "option" and parameter.name != "help":
                assert all(f"`{option}" in section for option in parameter.opts), (name, parameter.opts)


def test_the_page_of_methods_names_every_method():
    assert reference_pages.methods().count("\n") == len(METHODS) + 1


def test_the_picture_shows_every_part_and_how_the_layers_import():
    parts = {path.relative_to(import_picture.PACKAGE).parts[0] for path in import_picture.PACKAGE.rglob("*.py")}
    drawn = re.findall(r'text-anchor="middle">([^<]+)<', import_picture.picture())
    assert sorted(drawn) == sorted(part.removesuffix(".py") for part in parts)
    assert "runtime" in import_picture.imports()["data"]
    assert ("data", "config") in import_picture.without_detours(import_picture.imports())
    assert ("cli", "errors") not in import_picture.without_detours(import_picture.imports())


def test_every_arrow_leads_down():
    graph = import_picture.imports()
    drawn, heights = import_picture.rows(graph, import_picture.layers())
    row_of = {part: number for number, row in enumerate(drawn) for part in row}
    assert sum(heights) == len(drawn)
    for part, others in graph.items():
        assert all(row_of[other] < row_of[part] for other in others), part


@pytest.mark.parametrize(
    "module", [checkpointed_training, reference_pages, import_picture, site_pages], ids=lambda m: m.__name__
)
def test_the_examples_of_the_scripts_hold(module):
    assert doctest.testmod(module).failed == 0
