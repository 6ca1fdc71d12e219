"""The notebooks: executed on the sample in a copy of the repository, and as they are committed."""

import re
import shutil
import tempfile
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from data.make_sample import save_sample
from src.download import ARRAYS
from src.utils import ROOT

NOTEBOOKS = ["master_notebook", "appendix", "data_exploration", "try_your_own", "measure_your_own"]
# after the imports: trainings so short that a run takes a minute at most
SHORT = """
from dataclasses import replace
from src.study import experiment
from src import features, self_supervised
from src.study import few_labels as few
from src.train import TrainConfig
once = TrainConfig(epochs=1, batch_size=256)
settings = experiment.Settings(random_start=once, baseline=once, supervised=once, features=once, views=2, mlp=replace(once, epochs=2), cnn=once)
features.CENTRES, features.COMPONENTS, features.LEARNT_FROM, few.STEPS = 50, 100, 500, 20
self_supervised.WIDTH, self_supervised.CONFIG = 32, replace(once, kernel_rate=0.05)
PRESETS = {name: preset._replace(settings=settings) for name, preset in experiment.PRESETS.items()}
"""
FIGURES = [
    "AE_loss",
    "AE_CIFAR10_reconstructions",
    "AE_error",
    "Classifier",
    "Classifier_confusion",
    "Classifier_probes",
    "Error_against_accuracy",
    "Few_labels",
    "Finding",
    "Front",
    "Front_CIFAR10_reconstructions",
    "pipeline",
]
CHANNELS = ("red", "green", "blue")
OTHER_FIGURES = [
    "AE_denoising",
    "Corruption",
    "Nested",
    "Training",
    "VAE_interpolations",
    "VAE_neighbours",
    "VAE_samples",
    "VAE_traversals",
]


def read(name):
    return nbformat.read(ROOT / "run" / f"{name}.ipynb", as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def text_of(notebook):
    return "\n".join(str(output.get("data", output.get("text", ""))) for output in outputs(notebook))


@pytest.fixture
def run(tmp_path, sample):
    """Run a notebook with parameters in a copy of the repository that has a quarter of the sample alone."""
    shutil.copytree(ROOT / "reports", tmp_path / "reports", ignore=shutil.ignore_patterns("sample", "quick", "*.html"))
    for name in ("src", "run", "models/pretrained"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "data/sample").mkdir(parents=True)
    part = {key: getattr(sample, key)[::4] for key in ARRAYS}
    save_sample(tmp_path / "data/sample/CIFAR10.npz", **part, effort=0)

    def execute(name, **parameters):
        notebook = parameterize_notebook(
            load_notebook_node(str(ROOT / "run" / f"{name}.ipynb")),
            {"SAMPLE": True, "N_JOBS": 1} | parameters,  # so that what is short here is short for all
        )
        if name not in ("data_exploration", "try_your_own"):
            notebook.cells.insert(3, nbformat.v4.new_code_cell(SHORT))
        NotebookClient(notebook, timeout=500, resources={"metadata": {"path": str(tmp_path / "run")}}).execute()
        return notebook

    return execute


def assert_the_committed_are_as_they_were(folder):
    for path in (ROOT / "reports").glob("*.*"):
        if path.suffix in (".csv", ".png", ".sha256"):
            assert (folder / "reports" / path.name).read_bytes() == path.read_bytes()


def test_the_master_notebook_runs_on_the_sample(run, tmp_path):
    notebook = run("master_notebook", LATENT_DIMS=[8, 64], N_JOBS=1)
    assert "CIFAR100 is left out" in text_of(notebook)
    assert [output.text for output in outputs(notebook) if output.get("name") == "stderr"] == []
    assert len(pd.read_csv(tmp_path / "reports" / "sample" / "results.csv")) == 5 * 2 + 1
    assert all((tmp_path / "reports" / "sample" / f"{figure}.png").exists() for figure in FIGURES)
    assert_the_committed_are_as_they_were(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "parameters",
    [
        {"FAMILIES": ["conv"]},
        {"FAMILIES": ["vae"], "LATENT_DIMS": [10, 20]},
        {"LATENT_DIMS": [100]},
        {"DATASETS": ["CIFAR10"], "SEEDS": [1, 2], "LATENT_DIMS": [5]},
        {"PROBES": ["linear", "cnn"], "LATENT_DIMS": [10]},
        {"PRESET": "full", "LATENT_DIMS": [10, 20], "FAMILIES": ["denoising", "conv"]},
    ],
    ids=str,
)
def test_the_master_notebook_follows_its_parameters(run, tmp_path, parameters):
    run("master_notebook", **parameters)
    rows = pd.read_csv(tmp_path / "reports" / "sample" / "results.csv")
    assert {*parameters.get("FAMILIES", ["conv", "vae"])} < {*rows.autoencoder}
    assert {*parameters.get("LATENT_DIMS", [10, 20, 50, 100])} <= {*rows.latent_dim}
    assert {*parameters.get("SEEDS", rows.seed)} == {*rows.seed}


@pytest.mark.slow
def test_the_appendix_runs_on_the_sample(run, tmp_path):
    run("appendix", LATENT_DIMS=[10, 100])
    assert all((tmp_path / "reports" / "sample" / f"{figure}.png").exists() for figure in OTHER_FIGURES)
    assert_the_committed_are_as_they_were(tmp_path)


@pytest.mark.slow
def test_bytes_are_counted_on_the_sample(run, tmp_path):
    pytest.importorskip("constriction")
    run("bytes", LATENT_DIMS=[10, 20])
    rows = pd.read_csv(tmp_path / "reports" / "sample" / "rates.csv")
    assert {"pca", "conv", "features", "webp"} <= {*rows.name}
    assert (tmp_path / "reports" / "sample" / "Bytes.png").exists()
    assert_the_committed_are_as_they_were(tmp_path)


def test_the_data_are_explored_on_the_sample(run):
    assert "CIFAR100 is left out" in text_of(run("data_exploration"))


def test_ones_own_images_are_tried_on_the_sample(run):
    notebook = run("try_your_own", DATASET="CIFAR10")
    assert sum("image/png" in output.get("data", {}) for output in outputs(notebook)) == 3


def test_ones_own_encoders_are_measured_on_the_sample(run, tmp_path):
    notebook = run("measure_your_own")
    table = next(text for text in map(str, outputs(notebook)) if "Test accuracy of the MLP probe (%)" in text)
    assert all(name in table for name in ("PCA of logarithms", "random ResNet-18", "absolute error"))
    assert {"absolute", "conv", "pca"} == {*pd.read_csv(tmp_path / "reports" / "sample" / "results.csv").autoencoder}


@pytest.mark.slow
def test_a_data_set_that_cannot_be_had_is_named(run):
    with pytest.raises(Exception, match=r"CIFAR100 is left out\. CIFAR100 has no embedded sample"):
        run("master_notebook", DATASETS=["CIFAR100"])


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_committed_notebook_was_run_in_one_go_on_the_complete_data(name):
    notebook = read(name)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not any("injected-parameters" in cell.metadata.get("tags", []) for cell in cells)
    assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in outputs(notebook))
    assert "SAMPLE" not in text_of(notebook) and "left out" not in text_of(notebook)
    text = (ROOT / "run" / f"{name}.ipynb").read_text(encoding="utf-8")
    for folder in (ROOT, Path.home(), tempfile.gettempdir()):
        assert f"{folder}/" not in text
    assert "papermill" not in notebook.metadata


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_its_figures_have_alternative_text(name):
    pictures = [output for output in outputs(read(name)) if "image/png" in output.get("data", {})]
    pictures = [output for output in pictures if output.output_type == "display_data"]
    assert pictures and all(output.metadata.get("image/png", {}).get("alt") for output in pictures)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_its_cells_can_be_read_at_a_glance(name):
    assert max(len(cell.source.splitlines()) for cell in code_cells(read(name))) <= 20


def test_the_master_notebook_is_small_enough_to_be_read_where_people_look():
    assert len(read("master_notebook").cells) <= 55
    assert (ROOT / "run" / "master_notebook.ipynb").stat().st_size <= 3e6


def test_the_data_are_the_published_ones():
    htmls = [output.get("data", {}).get("text/html") for output in outputs(read("data_exploration"))]
    overview, channels, dimensions, duplicates = [re.findall(r"<t[hd]>(.*?)</t[hd]>", html) for html in htmls if html]
    assert overview.count("475 to 532") == overview.count("37 to 64") == 1  # images of a class, for validation
    rows = [list(map(float, channels[i + 1 : i + 5])) for i, cell in enumerate(channels) if cell in CHANNELS]
    assert len(rows) == 6 and np.allclose([row[:2] for row in rows], [row[2:] for row in rows], atol=5e-4)
    assert dimensions[-7:-3] == ["CIFAR10", "28.1", "0.7", "1"] and dimensions[-2] == "23.7"  # the text says 28 and 24
    assert duplicates[-7:] == ["0", "0", "0", "CIFAR100", "26", "10", "17"]


def test_every_figure_is_committed_and_no_other():
    expected = {*FIGURES, *OTHER_FIGURES, "CIFAR10", "CIFAR100", "Benchmark", "Bytes"}
    expected |= {figure.replace("CIFAR10", "CIFAR100") for figure in expected if "CIFAR10_" in figure}
    assert {path.stem for path in (ROOT / "reports").glob("*.png")} == expected
