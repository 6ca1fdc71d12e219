"""The house: imports run one way, files and functions stay small, and the words are the field's."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

from src.utils import ROOT

LAYERS = (
    "utils source download data_loader autoencoder encode train classifier objectives self_supervised features baseline evaluate images export codec pretrained "
    "study.experiment study.checkpoints study.answers study.shared study.sweep study.few_labels transformer "
    "report.style report.tables report.reconstruction report.classification"
).split()
MODULES = sorted(path for path in (ROOT / "src").rglob("*.py") if path.name != "__init__.py")
PRIVATE_WORDS = re.compile(
    r"\b(readers?|born|marks?|outcomes?|floors?|ceilings?|what PCA leaves|who reads|who is taken|bits a number|is worth|are worth|made up for)\b",
    re.I,
)


def name_of(path):
    return ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)


def functions(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.end_lineno - node.lineno + 1


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("src"):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found = [name.removeprefix("src.") for name in [node.module, *names]]
            yield from (name for name in found if name in LAYERS)


def test_every_module_has_its_layer():
    assert sorted(LAYERS) == sorted(map(name_of, MODULES))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_import_runs_upward(path):
    own = LAYERS.index(name_of(path))
    upward = [name for name in imports(path) if LAYERS.index(name) >= own]
    # `build_autoencoder` knows every model
    assert upward == (["baseline"] if name_of(path) == "autoencoder" else [])


def test_files_and_functions_are_small():
    files = list((ROOT / "src").rglob("*.py"))
    assert len(files) <= 31
    lengths = sorted(length for path in MODULES for _, length in functions(path))
    assert lengths[len(lengths) // 2] <= 10
    assert [(path.name, *f) for path in MODULES for f in functions(path) if f[1] > 40] == []
    assert len((ROOT / "run" / "benchmark.py").read_text().splitlines()) <= 200


def written():
    """Every text of the repository that is read as such, by its path."""
    for path in [*MODULES, *ROOT.glob("*.md"), *ROOT.glob("*/README.md"), ROOT / "Makefile", ROOT / "run/benchmark.py"]:
        yield path, path.read_text(encoding="utf-8")
    for path in (ROOT / "run").glob("*.ipynb"):
        yield path, "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)


@pytest.mark.parametrize(("path", "text"), [pytest.param(*pair, id=Path(pair[0]).name) for pair in written()])
def test_the_words_are_the_fields(path, text):
    assert PRIVATE_WORDS.findall(text) == []
