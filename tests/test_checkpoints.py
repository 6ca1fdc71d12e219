import copy
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import QUICK, TIMES, same_weights

from src.autoencoder import AUTOENCODERS, ConvAutoencoder, build_autoencoder
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
from src.study.experiment import Experiment, Network, grid
from src.study.sweep import run_sweep
from src.train import train_autoencoder
from src.utils import ROOT

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
        assert torch.equal(logits.argmax(1), load_checkpoint(given)["predictions"])


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


def define(**members):
    return type("Own", (ConvAutoencoder,), {"name": "own", "__module__": "__main__", **members})


def test_a_class_that_is_not_defined_any_more_is_named(study, monkeypatch):
    monkeypatch.setitem(AUTOENCODERS, "own", define())
    sweep([Experiment("CIFAR10", "own", 3)])
    monkeypatch.delitem(AUTOENCODERS, "own")
    with pytest.raises(ValueError, match="unknown autoencoder 'own'"):
        load_autoencoder(checkpoints.MODELS_DIR / "CIFAR10_own_d3_seed0.pt")


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
        for change in ({"network": Network(8, 3)}, {"views": 3}, {"mlp": other}, {"cnn": other}):
            assert self.origin(tiny, replace(QUICK, **change), name) != before

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
            ("predict.py", "conv", False),
            ("report/style.py", "conv", False),
        ],
    )
    def test_it_changes_with_the_code_that_makes_results(self, tiny, tmp_path, monkeypatch, file, name, counts):
        shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
        monkeypatch.setattr(checkpoints, "ROOT", tmp_path)
        source = (tmp_path / "src" / file).read_text()
        codes = []
        for change in ("", "\n\n# a comment\n", "\nX = 1\n"):
            (tmp_path / "src" / file).write_text(source + change)
            checkpoints.code_version.cache_clear()
            codes.append(self.origin(tiny, name=name)["code"])
        checkpoints.code_version.cache_clear()
        assert codes[0] == codes[1] and (codes[0] != codes[2]) == counts

    def test_it_changes_with_a_class_that_is_defined_outside(self, tiny, monkeypatch):
        def loss(self, x, factor=2):
            return {"total": factor * super(type(self), self).loss(x)["total"]}

        def same(self, x, factor=2):
            # a comment
            return {"total": factor * super(type(self), self).loss(x)["total"]}

        def other(self, x, factor=2):
            return {"total": factor + super(type(self), self).loss(x)["total"]}

        def default(self, x, factor=3):
            return {"total": factor * super(type(self), self).loss(x)["total"]}

        variants = [{"loss": loss}, {"loss": same}, {"loss": other}, {"loss": default}]
        variants += [{"loss": loss, "weight": 1}, {"loss": loss, "weight": 2}, {"loss": loss, "weight": torch.relu}]
        codes = []
        for members in variants:
            monkeypatch.setitem(AUTOENCODERS, "own", define(**members))
            codes.append(self.origin(tiny, name="own")["code"])
        assert codes[0] == codes[1] and len(set(codes)) == len(codes) - 1
        assert self.origin(tiny)["code"] not in codes


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

    def test_flipped_bits_and_a_cut_table_count_as_none(self, table):
        content = table.read_bytes()
        for position in range(0, len(content), 7):
            flipped = bytearray(content)
            flipped[position] ^= 1 << position % 8
            for damaged in (bytes(flipped), content[:position]):
                table.write_bytes(damaged)
                with pytest.warns(UserWarning, match="damaged and left out; run_sweep writes it again"):
                    assert read_results().empty

    @pytest.mark.parametrize("damage", ["lost", "empty", "flipped", "checksums"])
    def test_it_comes_back_from_the_checkpoints(self, table, damage, monkeypatch):
        content = table.read_bytes()
        if damage == "lost":
            table.unlink()
        elif damage == "empty":
            table.write_bytes(b"")
        elif damage == "flipped":
            table.write_bytes(content.replace(b"pca", b"pcb", 1))
        else:
            table.with_name("results.sha256").write_text("other")
        monkeypatch.setattr("src.study.sweep.run_experiment", None)  # nothing is run again
        if damage == "lost":
            sweep(grid(["CIFAR10"], ["pca"], [3, 4]))
        else:
            with pytest.warns(UserWarning, match="damaged and left out"):
                sweep(grid(["CIFAR10"], ["pca"], [3, 4]))
        assert table.read_bytes() == content and len(read_results()) == 2

    @pytest.mark.parametrize("killed_at", ["results.sha256", "results.csv"])
    def test_a_kill_between_the_two_writes_leaves_a_whole_table(self, table, monkeypatch, killed_at):
        before, atomic_path = read_results(), checkpoints.atomic_path

        def kill(path):
            if path.name == killed_at:
                raise KeyboardInterrupt
            return atomic_path(path)

        row = load_checkpoint(PCA)["row"] | {"test_mse": 0.5}
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(checkpoints, "atomic_path", kill)
            write_rows([row])
        pd.testing.assert_frame_equal(read_results(), before)
        write_rows([row])
        assert read_results().test_mse.tolist()[0] == 0.5

    def test_a_kill_during_the_very_first_write_leaves_none(self, study, monkeypatch):
        atomic_path = checkpoints.atomic_path
        row = {**PCA.key, "epochs": 0}
        with monkeypatch.context() as patch, pytest.raises(TypeError):
            patch.setattr(checkpoints, "atomic_path", lambda path: path.suffix == ".sha256" and atomic_path(path))
            write_rows([row])
        assert read_results().empty
        write_rows([row])
        assert len(read_results()) == 1


def test_the_committed_table_is_whole_and_of_the_complete_data():
    table = read_results()
    assert list(table.columns) == COLUMNS and not table.is_sample.any() and (table.train_images == 45_000).all()
    for experiment in grid(["CIFAR10", "CIFAR100"], ["conv", "features", "pca"], [10, 20, 50, 100]):
        row = table[(table[list(experiment.key)] == list(experiment.key.values())).all(axis=1)]
        assert len(row) == 1 and row[["accuracy_linear", "accuracy_knn", "accuracy_mlp"]].notna().all(axis=None)


def test_all_that_is_timed_is_left_out_of_comparisons():
    assert [column for column in COLUMNS if "seconds" in column] == TIMES
