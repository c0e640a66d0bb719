"""The shape of the package: what imports what, what loads what, what is public."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import synaug

ROOT = Path(synaug.__file__).parent
LAYERS = (
    {"errors", "config", "storage", "interruption", "progress", "embedded"},
    {"data"},
    {"synthesis", "training", "evaluation"},
    {"runs", "methods", "gaps", "reporting", "reviewing", "experiment", "bench"},
    {"console", "cli", "__main__", "__init__"},
)
MIDDLE = {"synthesis", "training", "evaluation"}


def layer(part):
    return next(number for number, names in enumerate(LAYERS) if part in names)


def part_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_parts(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "synaug":
            names = node.module.split(".")[1:2] or [alias.name for alias in node.names]
            yield from names
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("synaug."))


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_imports_only_from_its_own_layer_and_those_below(path):
    mine = part_of(path)
    for other in imported_parts(ast.parse(path.read_text())):
        assert layer(other) <= layer(mine), f"{path.name} imports {other}, which lies above"
        assert not (mine in MIDDLE and other in MIDDLE - {mine}), f"{mine} imports {other}"


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_only_storage_changes_files(path):
    if path.name == "storage.py":
        return
    changing = {"write_text", "write_bytes", "unlink", "rename", "mkdir", "rmdir", "touch", "rmtree"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in changing:
            owner = node.func.value
            assert isinstance(owner, ast.Name), f"{path.name}:{node.lineno} {node.func.attr}"
            assert owner.id == "storage", f"{path.name}:{node.lineno} {node.func.attr}"


def loaded_after(statement):
    code = f"{statement}; import sys; print(*sorted(m for m in sys.modules if '.' not in m))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_importing_synaug_loads_neither_torch_nor_diffusers():
    assert not {"torch", "diffusers", "transformers", "pandas"} & set(loaded_after("import synaug"))


def test_the_test_above_can_fail():
    assert "torch" in loaded_after("import synaug; synaug.train_representation")


def test_help_is_there_without_torch_pandas_or_pydantic():
    code = (
        "import sys; sys.argv = ['synaug', '--help']\n"
        "from synaug.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('loaded:', *(m for m in ('torch', 'diffusers', 'pandas', 'pydantic') if m in sys.modules))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "generate" in output
    assert output.rstrip().endswith("loaded:")


def test_every_public_name_is_there():
    for name in synaug.__all__:
        assert getattr(synaug, name) is not None
    assert set(synaug.__all__) == set(synaug._HOMES)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'balence'"):
        _ = synaug.balence
