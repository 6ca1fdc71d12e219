import copy
import importlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import QUICK, TIMES, same_weights

from src import features, source
from src.autoencoder import ConvAutoencoder, build_autoencoder
from src.baseline import MODELS
from src.encode import encode_images
from src.study import checkpoints
from src.study.checkpoints import (
    COLUMNS,
    DamagedFileError,
    checkpoint_path,
    load_autoencoder,
    load_checkpoint,
    load_classifier,
    origin,
    read_results,
    results_path,
    write_rows,
)
from src.study.experiment import PRESETS, Experiment, Network, grid
from src.study.sweep import run_sweep
from src.train import train_autoencoder

PCA = Experiment("CIFAR10", "pca", 3)


def sweep(experiments, **options):
    return run_sweep(experiments, n_jobs=1, settings=QUICK, **options)


def test_what_was_trained_is_loaded_by_experiment_and_by_path(study, tiny):
    sweep([PCA])
    expected = build_autoencoder("pca", 3)
    train_autoencoder(expected, tiny)
    for given in (PCA, checkpoint_path(PCA), str(checkpoint_path(PCA))):
        assert same_weights(load_autoencoder(given), expected)
        logits = load_classifier(given)(torch.from_numpy(encode_images(expected, tiny.x_test)))
        assert torch.equal(logits.argmax(1), load_checkpoint(given)["predictions"]["mlp"].long())


def test_a_network_of_another_size_is_loaded_as_it_was_trained(study):
    experiment = Experiment("CIFAR10", "vae", 3, probes="linear")
    run_sweep([experiment], n_jobs=1, settings=replace(QUICK, network=Network(width=8, depth=3)))
    model = load_autoencoder(experiment)
    assert same_weights(model, load_checkpoint(experiment)["state"])
    kernels = [tuple(parameter.shape) for parameter in model.parameters() if parameter.ndim == 4]
    assert kernels == 2 * [(8, 48, 1, 1), *3 * [(8, 8, 3, 3)], (48, 8, 1, 1)]


def test_what_has_not_been_run_is_said(study):
    with pytest.raises(ValueError, match=r"CIFAR10 pca d=3 seed 0 has not been run: there is no .*run_sweep"):
        load_checkpoint(PCA)
    sweep([replace(PCA, probes="linear")])
    with pytest.raises(ValueError, match="without the MLP probe"):
        load_classifier(PCA)


@pytest.mark.filterwarnings("ignore:.*damaged")
@pytest.mark.parametrize("kind", ["state_dict", "list", "training", "text", "npz"])
def test_a_file_of_another_kind_is_refused_by_name(tiny, tmp_path, kind):
    path = tmp_path / "other.pt"
    if kind in ("state_dict", "list"):
        torch.save(build_autoencoder("conv", 3).state_dict() if kind == "state_dict" else [1], path)
    if kind == "training":
        train_autoencoder(build_autoencoder("conv", 3), tiny, QUICK.train, progress=False, checkpoint=path)
    if kind == "text":
        path.write_text("my notes")
    if kind == "npz":
        np.savez(tmp_path / "other.npz", x=np.zeros(3))
        path = tmp_path / "other.npz"
    for load in (load_checkpoint, load_autoencoder, load_classifier):
        with pytest.raises(ValueError, match=path.name):
            load(path)


@pytest.mark.filterwarnings("ignore:.*damaged")
def test_a_damaged_checkpoint_is_refused_by_name(study):
    sweep([PCA])
    content = bytearray(checkpoint_path(PCA).read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint_path(PCA).write_bytes(content)
    with pytest.raises(DamagedFileError, match=f"{checkpoint_path(PCA).name} is damaged"):
        load_checkpoint(PCA)


class Own(ConvAutoencoder):
    """A class of one's own."""


def test_a_class_that_is_not_defined_any_more_is_named(study, monkeypatch):
    monkeypatch.setitem(MODELS, "own", Own)
    sweep([Experiment("CIFAR10", "own", 3)])
    monkeypatch.delitem(MODELS, "own")
    with pytest.raises(ValueError, match="unknown autoencoder 'own'"):
        load_autoencoder(checkpoints.MODELS_DIR / "CIFAR10.own.d3.seed0.pt")


def test_a_model_whose_class_has_changed_since_says_so(study, monkeypatch):
    sweep([PCA])
    monkeypatch.setattr(checkpoints, "code_of_class", lambda model: "other")
    with pytest.warns(UserWarning, match="the code of pca has changed since CIFAR10 pca d=3 seed 0 was run"):
        load_autoencoder(PCA)


class TestOrigin:
    def origin(self, dataset, settings=QUICK, name="conv"):
        return origin(*grid(["CIFAR10"], [name], [3]), dataset, settings)

    def test_it_changes_with_settings_data_libraries_and_precision(self, tiny, monkeypatch):
        before = self.origin(tiny)
        assert self.origin(copy.copy(tiny)) == before
        settings = self.origin(tiny, replace(QUICK, views=3))
        data = self.origin(replace(tiny, y_train=tiny.y_train[::-1].copy()))
        monkeypatch.setattr(torch, "__version__", "9.9")
        libraries = self.origin(tiny)
        monkeypatch.undo()
        monkeypatch.setattr(checkpoints, "has_bfloat16", lambda device: "bfloat16" not in before["precision"])
        after = {"settings": settings, "data": data, "libraries": libraries, "precision": self.origin(tiny)}
        for part, changed in after.items():
            assert [key for key in before if changed[key] != before[key]] == [part]

    @pytest.mark.parametrize(
        ("name", "part"),
        [("conv", "train"), ("spatial", "baseline"), ("supervised", "supervised"), ("features", "features")],
    )
    def test_it_changes_with_the_settings_of_its_own_model_alone(self, tiny, name, part):
        before, other = self.origin(tiny, name=name), replace(QUICK.train, epochs=2)
        for setting in ("train", "baseline", "supervised", "features"):
            assert (self.origin(tiny, replace(QUICK, **{setting: other}), name) != before) == (setting == part)
        for change in ({"views": 3}, {"mlp": other}, {"cnn": other}):
            assert self.origin(tiny, replace(QUICK, **change), name) != before
        takes_network = name in ("conv", "features")
        assert (self.origin(tiny, replace(QUICK, network=Network(8, 3)), name) != before) == takes_network

    @pytest.mark.parametrize(
        ("file", "name", "counts"),
        [
            ("utils.py", "conv", True),
            ("study/sweep.py", "conv", True),
            ("baseline.py", "pca", True),
            ("baseline.py", "conv", False),
            ("features.py", "features_50", True),
            ("features.py", "nested", False),
            ("objectives.py", "nested", True),
            ("study/experiment.py", "conv", False),
            ("study/few_labels.py", "conv", False),
            ("pretrained.py", "conv", False),
            ("report/style.py", "conv", False),
        ],
    )
    def test_it_changes_with_the_code_that_makes_results(self, tiny, tmp_path, monkeypatch, file, name, counts):
        module = importlib.import_module("src." + file.removesuffix(".py").replace("/", "."))
        path, codes = tmp_path / "module.py", []
        text = Path(module.__file__).read_text()
        monkeypatch.setattr(module, "__file__", str(path))
        for change in ("", "\n\n# a comment\n", "\nX = 1\n"):
            path.write_text(text + change)
            monkeypatch.setattr(source, "_READ", {})
            made_by = self.origin(tiny, name=name)
            codes.append((made_by["code"], made_by["model"]))
        assert codes[0] == codes[1] and (codes[0] != codes[2]) == counts

    def test_it_changes_with_a_constant_of_the_module_that_defines_the_class(self, tiny, monkeypatch):
        before = self.origin(tiny, name="features"), self.origin(tiny, name="conv")
        monkeypatch.setattr(features, "CENTRES", 30)
        assert self.origin(tiny, name="features") != before[0] and self.origin(tiny, name="conv") == before[1]

    def test_it_changes_with_the_arguments_of_an_entry(self, tiny, monkeypatch):
        codes = []
        for share in (0.5, 0.4):
            monkeypatch.setitem(MODELS, "mine", partial(features.FeatureAutoencoder, share=share))
            codes.append(self.origin(tiny, name="mine"))
        assert codes[0] != codes[1]


class TestTable:
    @pytest.fixture
    def table(self, study):
        sweep(grid(["CIFAR10"], ["pca"], [3, 4]))
        return results_path()

    def test_rows_are_read_as_they_were_written(self, table):
        rows = read_results()
        assert list(rows.columns) == COLUMNS and rows.latent_dim.tolist() == [3, 4]
        for experiment, (_, row) in zip(grid(["CIFAR10"], ["pca"], [3, 4]), rows.iterrows(), strict=True):
            saved = load_checkpoint(experiment)["row"]
            assert all(row[key] == value for key, value in saved.items() if value is not None)

    def test_a_row_takes_the_place_of_that_of_the_same_experiment(self, table):
        row = load_checkpoint(PCA)["row"]
        write_rows([row | {"test_mse": 0.5}])
        assert read_results().test_mse.tolist()[0] == 0.5 and len(read_results()) == 2

    def test_line_ends_of_windows_are_accepted(self, table):
        before = read_results()
        table.write_bytes(table.read_bytes().replace(b"\n", b"\r\n"))
        pd.testing.assert_frame_equal(read_results(), before)

    @pytest.mark.parametrize("content", [b"", b"my notes", bytes(range(256)), None])
    @pytest.mark.filterwarnings("ignore:.*it is kept as")
    def test_it_comes_back_from_the_checkpoints(self, table, content, monkeypatch):
        before = table.read_bytes()
        for _ in range(2):
            table.unlink() if content is None else table.write_bytes(content)
            if content is not None:
                with pytest.raises(ValueError, match="run_sweep writes it again from the checkpoints"):
                    read_results()
            monkeypatch.setattr("src.study.sweep.run_experiment", None)  # nothing is run again
            sweep(grid(["CIFAR10"], ["pca"], [3, 4]))
            assert table.read_bytes() == before
            kept = [path.read_bytes() for path in table.parent.glob("results_damaged_*.csv")]
            assert content is None or kept == [content] * len(kept) != []  # and what was there is not lost

    def test_a_column_that_is_no_more_is_left_out_and_a_score_without_one_is_an_error(self, table):
        pd.read_csv(table).assign(accuracy_old=0.5).to_csv(table, index=False)
        assert list(read_results().columns) == COLUMNS
        checkpoint = load_checkpoint(PCA)
        with pytest.raises(ValueError, match="the table has no column accuracy_new"):
            checkpoints.save_checkpoint(PCA, "", checkpoint["origin"], checkpoint["row"] | {"accuracy_new": 1}, {})


def test_the_committed_table_is_whole_and_of_the_complete_data():
    table = read_results()
    assert {*table.columns} <= {*COLUMNS} and not table.is_sample.any() and (table.train_images == 45_000).all()
    for experiment in PRESETS["full"].experiments(["CIFAR10", "CIFAR100"], ["conv", "vae"], [10, 20, 50, 100]):
        row = table[(table[list(experiment.key)] == list(experiment.key.values())).all(axis=1)]
        assert len(row) == 1 and row[[f"accuracy_{probe}" for probe in experiment.probes]].notna().all(axis=None)


def test_all_that_is_timed_is_left_out_of_comparisons():
    assert [column for column in COLUMNS if "seconds" in column] == TIMES
