"""The notebooks: executed on the sample in a copy of the repository, and as they are committed."""

import shutil
import tempfile
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

from src.utils import ROOT

NOTEBOOKS = ["master_notebook", "data_exploration", "further_codes", "try_your_own"]
QUICK = (  # short readers and trainings show that all works
    "from src.classifier import ClassifierConfig as Short; from src.train import TrainConfig as Once; "
    "SETTINGS = Settings(baseline=Once(epochs=1), views=1, mlp=Short(3, 256), convolutions=Short(1, 256)); _ = "
)
FIGURES = [
    "CIFAR10",
    "pipeline",
    "AE_bottleneck",
    "AE_CIFAR10_loss",
    "AE_CIFAR10_reconstructions",
    "AE_error",
    "AE_denoising",
    "Classifier",
    "Classifier_readers",
    "Classifier_CIFAR10_classes",
    "Error_against_accuracy",
    "Objectives",
    "VAE_samples",
    "VAE_interpolations",
    "VAE_traversals",
    "VAE_neighbours",
    "VAE_map",
]


def read(name):
    return nbformat.read(ROOT / "run" / f"{name}.ipynb", as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text_of(notebook):
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    return "\n".join(str(output.get("data", output.get("text", ""))) for output in outputs)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The repository without its full data, so that the sample serves."""
    folder = tmp_path_factory.mktemp("repository")
    shutil.copytree(ROOT / "reports", folder / "reports", ignore=shutil.ignore_patterns("sample", "*.html"))
    for name in ("src", "run", "data/sample"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_runs_on_the_sample_and_leaves_the_full_results_alone(copy, name):
    before = {path: path.read_bytes() for path in (copy / "reports").glob("*.*")}
    notebook = read(name)
    for cell in notebook.cells:  # straight to the sample, without asking the mirrors
        cell.source = cell.source.replace("SAMPLE = False", "SAMPLE = True").replace("SETTINGS = ", QUICK)
        cell.source = cell.source.replace("TRANSFER = True", "TRANSFER = False")
        cell.source = cell.source.replace("[10, 20, 50, 100]", "[10, 100]")
        cell.source = cell.source.replace('"CIFAR100"])', '"CIFAR100"], sample=True)')
    NotebookClient(notebook, timeout=500, resources={"metadata": {"path": str(copy / "run")}}).execute()
    assert "sample" in text_of(notebook) and "CIFAR100 is left out" in text_of(notebook)
    assert {path: path.read_bytes() for path in (copy / "reports").glob("*.*")} == before
    if name == "further_codes":
        assert (copy / "reports" / "sample" / "Nested.png").exists()
        assert "left out: it was not asked for" in text_of(notebook)
    if name == "try_your_own":
        assert sum("image/png" in o.get("data", {}) for cell in code_cells(notebook) for o in cell.outputs) == 3
    if name == "master_notebook":
        assert len(pd.read_csv(copy / "reports" / "sample" / "results.csv")) == 4 + 2 * 3 + 3 + 2 + 4
        assert all((copy / "reports" / "sample" / f"{figure}.png").exists() for figure in FIGURES)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_committed_notebook_was_run_in_one_go_on_the_complete_data(name):
    notebook = read(name)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not any(output.output_type == "error" for cell in cells for output in cell.outputs)
    assert "SAMPLE" not in text_of(notebook) and "CIFAR100" in text_of(notebook)
    for folder in (ROOT, Path.home(), tempfile.gettempdir()):
        assert f"{folder}/" not in text_of(notebook)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_its_cells_are_short_and_define_nothing(name):
    for cell in code_cells(read(name)):
        lines = cell.source.splitlines()
        assert len(lines) <= 15
        assert not any(line.startswith(("def ", "class ")) for line in lines)


def test_every_figure_of_the_full_study_is_committed():
    for figure in [
        *FIGURES,
        "CIFAR100",
        "AE_CIFAR100_loss",
        "AE_CIFAR100_reconstructions",
        "Classifier_CIFAR100_classes",
        "Nested",
        "Nested_CIFAR10_reconstructions",
        "Nested_CIFAR100_reconstructions",
    ]:
        assert (ROOT / "reports" / f"{figure}.png").exists()
