import math
import shutil
import subprocess
import sys
import warnings
from dataclasses import astuple, replace

import pandas as pd
import pytest
import torch
from filelock import FileLock

from src import outcomes, sweep, train
from src.autoencoder import AUTOENCODERS, VariationalAutoencoder
from src.baseline import PCACode
from src.classifier import ClassifierConfig
from src.experiment import Experiment, Settings, baselines, bounds, grid
from src.objectives import OBJECTIVES
from src.outcomes import (
    COLUMNS,
    DamagedFileError,
    load_autoencoder,
    load_outcome,
    outcome_path,
    read_results,
    results_path,
)
from src.sweep import SweepError, run_experiment, run_sweep
from src.train import TrainConfig, encode_images
from src.utils import ROOT, one_thread

ONCE, READ_ONCE = TrainConfig(epochs=1, batch_size=64), ClassifierConfig(epochs=1, batch_size=64)
QUICK = Settings(ONCE, ONCE, 2, READ_ONCE, READ_ONCE)
TIMES = ["autoencoder_seconds", "classifier_seconds", "conv_reader_seconds"]


@pytest.fixture
def study(tmp_path, monkeypatch, tiny):
    """The sweep on random images, with its files in a folder of the test's."""
    monkeypatch.setattr(outcomes, "MODELS_DIR", tmp_path / "models")
    monkeypatch.setattr(outcomes, "REPORTS_DIR", tmp_path / "reports")
    monkeypatch.setattr(sweep, "load_dataset", lambda name, download, sample: tiny)
    return tmp_path


def count_runs(monkeypatch):
    runs = []
    run = sweep.run_experiment
    monkeypatch.setattr(sweep, "run_experiment", lambda e, *rest: runs.append(e) or run(e, *rest))
    return runs


def test_the_grid_has_every_combination():
    experiments = grid(["CIFAR10", "CIFAR100"], ["conv", "vae"], [10, 20, 50, 100])
    assert len(set(experiments)) == 16
    assert len(baselines(["CIFAR10", "CIFAR100"], [10, 20, 50, 100])) == 2 * (4 + 1 + 2)
    assert len(bounds(["CIFAR10"], [10, 20])) == 4


@pytest.mark.parametrize("wrong", [("MNIST", "conv", 10), ("CIFAR10", "gan", 10), ("CIFAR10", "conv", 0)])
def test_an_experiment_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=r"choose one of|whole number from 1 to 1024"):
        Experiment(*wrong)


@pytest.mark.parametrize(
    "experiment",
    [
        *grid(["CIFAR10"], [*AUTOENCODERS, *OBJECTIVES, "nested"], [5]),
        *baselines(["CIFAR10"], [5]),
        *bounds(["CIFAR10"], [5]),
    ],
    ids=str,
)
def test_every_kind_of_experiment_leaves_a_whole_row(study, experiment):
    row = run_experiment(experiment, settings=QUICK)
    assert list(row) == COLUMNS
    assert (row["dataset"], row["autoencoder"], row["seed"]) == ("CIFAR10", experiment.autoencoder, 0)
    assert row["is_sample"] is False and row["train_images"] == 180
    outcome = load_outcome(experiment)
    assert len(outcome["predictions"]) == 100 and outcome["row"] == row
    assert all(0 <= row[f"accuracy_{reader}"] <= 1 for reader in ("linear", "knn", "mlp"))
    assert (row["accuracy_conv"] is not None) == (experiment.autoencoder in ("conv", "pca", "pixels"))
    assert (row["kl_nats"] is not None) == (experiment.autoencoder == "vae")


@pytest.mark.parametrize(
    ("experiment", "due"),
    [
        (("conv", 100, 2), True),
        (("conv", 10, 0), True),
        (("conv", 10, 1), False),
        (("vae", 100, 0), True),
        (("vae", 10, 0), False),
        (("pixels", 3072, 0), True),
        (("pca", 10, 0), True),
        (("pca", 10, 1), False),
        (("random", 100, 0), False),
    ],
)
def test_the_slowest_reader_is_run_where_it_is_due(experiment, due):
    assert Experiment("CIFAR10", *experiment).has_conv_reader == due


def test_a_saved_autoencoder_is_the_one_that_was_trained(study, tiny):
    experiment = Experiment("CIFAR10", "pca", 5)
    run_experiment(experiment, settings=QUICK)
    expected = PCACode(5)
    with one_thread():  # as the sweep computes: on several, sums are in another order
        expected.prepare(tiny.split("train")[0])
    z = encode_images(load_autoencoder(experiment), tiny.x_test)
    torch.testing.assert_close(torch.from_numpy(z), torch.from_numpy(encode_images(expected, tiny.x_test)))


def test_rows_are_on_disk_and_finished_experiments_do_not_run_again(study, monkeypatch):
    runs = count_runs(monkeypatch)
    first = run_sweep(grid(["CIFAR10"], ["conv"], [3]), n_jobs=1, settings=QUICK)
    both = run_sweep(grid(["CIFAR10"], ["conv", "pca"], [3]), n_jobs=1, settings=QUICK)
    assert [e.autoencoder for e in runs] == ["conv", "pca"]
    assert list(both.columns) == COLUMNS and both.iloc[0].equals(first.iloc[0])
    assert len(read_results()) == 2


def test_changed_settings_run_again_and_replace_the_row(study, monkeypatch):
    runs = count_runs(monkeypatch)
    experiments = grid(["CIFAR10"], ["conv"], [3])
    run_sweep(experiments, n_jobs=1, settings=QUICK)
    longer = replace(QUICK, train=TrainConfig(epochs=2, batch_size=64))
    run_sweep(experiments, n_jobs=1, settings=longer)
    assert len(runs) == 2 and read_results().epochs.tolist() == [2]


def test_a_lost_table_comes_back_from_what_the_experiments_left(study, monkeypatch):
    experiments = grid(["CIFAR10"], ["pca"], [3, 4])
    run_sweep(experiments, n_jobs=1, settings=QUICK)
    before = read_results()
    results_path().unlink()
    runs = count_runs(monkeypatch)
    run_sweep(experiments, n_jobs=1, settings=QUICK)
    pd.testing.assert_frame_equal(read_results(), before)
    assert runs == []


def test_the_sample_never_touches_the_full_studys_results(study):
    run_sweep(grid(["CIFAR10"], ["pca"], [3]), n_jobs=1, settings=QUICK)
    files = {path: path.read_bytes() for path in study.rglob("*") if path.is_file()}
    run_sweep(grid(["CIFAR10"], ["pca"], [3]), n_jobs=1, sample=True, settings=QUICK)
    assert all(path.read_bytes() == content for path, content in files.items())
    assert (study / "reports" / "sample" / "results.csv").exists()


def test_results_do_not_depend_on_what_ran_before_or_beside(tmp_path):
    """Two orders and two numbers of workers, each in a fresh process and a fresh copy of the repository."""
    script = """if __name__ == "__main__":
        import sys
        from src.classifier import ClassifierConfig
        from src.experiment import Settings, grid
        from src.sweep import run_sweep
        from src.train import TrainConfig
        once = ClassifierConfig(epochs=1, batch_size=256)
        quick = Settings(TrainConfig(epochs=1), TrainConfig(epochs=1), 2, once, once)
        experiments = grid(["CIFAR10"], ["vae", "conv"], [4, 3])[:: int(sys.argv[1])]
        run_sweep(experiments, int(sys.argv[2]), sample=True, settings=quick)
    """
    tables = []
    for order, jobs in ((1, 1), (-1, 2)):
        copy = tmp_path / f"copy{jobs}"
        shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "data" / "sample", copy / "data" / "sample")
        (copy / "go.py").write_text(script)
        subprocess.run([sys.executable, copy / "go.py", str(order), str(jobs)], check=True, cwd=tmp_path)
        table = pd.read_csv(copy / "reports" / "sample" / "results.csv")
        tables.append(table.drop(columns=[*TIMES, "checksum"]))
    pd.testing.assert_frame_equal(*tables, check_exact=True)


@pytest.mark.parametrize("change", ["settings", "data", "code", "damage"])
def test_stale_and_damaged_checkpoints_are_not_picked_up(study, monkeypatch, tiny, change, capsys):
    experiments = grid(["CIFAR10"], ["pca"], [3])
    run_sweep(experiments, n_jobs=1, settings=QUICK)
    runs, path, settings = count_runs(monkeypatch), outcome_path(experiments[0]), QUICK
    if change == "settings":
        settings = replace(QUICK, views=3)
    if change == "data":
        other = replace(tiny, y_train=tiny.y_train[::-1].copy())
        monkeypatch.setattr(sweep, "load_dataset", lambda name, download, sample: other)
    if change == "code":
        monkeypatch.setattr(outcomes, "_code_version", lambda: "another")
    if change == "damage":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        with pytest.raises(DamagedFileError, match=f"{path.name} is damaged"):
            load_outcome(experiments[0])
    run_sweep(experiments, n_jobs=1, settings=settings)
    reason = "damaged checkpoint" if change == "damage" else f"other {change}"
    assert len(runs) == 1 and f"1 of 1 experiments to run: {reason}" in capsys.readouterr().out


def test_interrupted_training_goes_on_to_the_same_row_and_weights(study, monkeypatch):
    """Killed after the first of two epochs and, another time, while the code is read."""
    (experiment,), settings = (
        grid(["CIFAR10"], ["vae"], [3]),
        replace(QUICK, train=TrainConfig(epochs=2, batch_size=64)),
    )
    run_sweep([experiment], n_jobs=1, settings=settings)
    whole = load_outcome(experiment)
    for name in ("evaluate", "read_code"):
        outcome_path(experiment).unlink()
        module, calls = (train if name == "evaluate" else sweep), []
        original = getattr(module, name)

        def stop(*args, original=original, calls=calls, last=2 if name == "evaluate" else 1):
            calls.append(args)
            if len(calls) == last:
                raise KeyboardInterrupt
            return original(*args)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(module, name, stop)
            run_sweep([experiment], n_jobs=1, settings=settings)
        assert len(list((study / "models" / "in_training").iterdir())) == 1
        passes = []
        with monkeypatch.context() as patch:
            patch.setattr(
                train, "train_epoch", lambda *args, run=train.train_epoch, passes=passes: passes.append(1) or run(*args)
            )
            run_sweep([experiment], n_jobs=1, settings=settings)
        again = load_outcome(experiment)
        assert len(passes) == (1 if name == "evaluate" else 0)
        assert all(torch.equal(value, again["state"][key]) for key, value in whole["state"].items())
        assert {k: v for k, v in whole["row"].items() if k not in TIMES} == {
            k: v for k, v in again["row"].items() if k not in TIMES
        }
        assert not list((study / "models" / "in_training").iterdir())


def test_training_that_fails_is_said_and_the_others_go_on(study, monkeypatch):
    loss = VariationalAutoencoder.loss
    monkeypatch.setattr(
        VariationalAutoencoder, "loss", lambda self, x: {k: v * math.nan for k, v in loss(self, x).items()}
    )
    experiments = grid(["CIFAR10"], ["vae", "pca"], [3])
    with pytest.raises(SweepError, match=r"1 of 2 experiments have no result: CIFAR10 vae 3 seed 0: .* nan in epoch 1"):
        run_sweep(experiments, n_jobs=1, settings=QUICK)
    table = read_results().set_index("autoencoder")
    assert "nan in epoch 1" in table.failure["vae"] and table.accuracy_mlp["pca"] > 0


def test_two_sweeps_do_not_share_a_folder(study):
    results_path().parent.mkdir()
    with FileLock(results_path().with_name(".sweep.lock")):
        with pytest.raises(SweepError, match="another sweep is at work on"):
            run_sweep(grid(["CIFAR10"], ["pca"], [3]), n_jobs=1, settings=QUICK)
    assert len(run_sweep(grid(["CIFAR10"], ["pca"], [3]), n_jobs=1, settings=QUICK)) == 1


def test_damaged_lines_of_the_table_are_left_out_and_come_back(study):
    experiments = grid(["CIFAR10"], ["pca"], [3, 4])
    run_sweep(experiments, n_jobs=1, settings=QUICK)
    before, path = read_results(), results_path()
    content = path.read_bytes()
    for position in range(0, len(content) - 1, 7):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        for spoilt in (bytes(damaged), content[:position]):
            path.write_bytes(spoilt)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = read_results()
            merged = found.merge(before, how="left", indicator=True)
            assert (merged._merge == "both").all() and len(found) <= 2
    with pytest.warns(UserWarning, match="damaged and left out"):
        run_sweep(experiments, n_jobs=1, settings=QUICK)
    assert path.read_bytes() == content


def test_the_committed_table_is_the_complete_study():
    table = pd.read_csv(ROOT / "reports" / "results.csv")
    assert list(table.columns) == [*COLUMNS, "checksum"]
    assert not table.is_sample.any() and (table.train_images == 45_000).all()
    experiments = grid(["CIFAR10", "CIFAR100"], ["conv", "vae"], [10, 20, 50, 100], [0, 1, 2])
    experiments += grid(["CIFAR10", "CIFAR100"], ["pca", "nested"], [10, 20, 50, 100])
    for experiment in experiments + grid(
        ["CIFAR10", "CIFAR100"], ["denoising", "random", "supervised"], [10, 20, 50, 100]
    ):
        row = table[(table[["dataset", "autoencoder", "latent_dim", "seed"]] == list(astuple(experiment))).all(axis=1)]
        assert len(row) == 1 and row[["accuracy_linear", "accuracy_knn", "accuracy_mlp"]].notna().all(axis=None)


def test_the_bar_says_what_the_workers_are_on(study, capsys):
    first, second = experiments = grid(["CIFAR10"], ["pca"], [3, 4])
    run_sweep(experiments, n_jobs=1, settings=QUICK)
    said = capsys.readouterr().out
    assert f"0/2 [00:00<?, ?experiment/s, {first}]" in said and said.index(str(first)) < said.index(str(second))
    end = said.rpartition("\r")[2]
    assert "100%" in end and str(second) not in end


def test_workers_import_no_more_than_they_need():
    """torchvision, which only downloads and transfer need, is a second and 80 MB in every worker."""
    check = "import sys, src.sweep; sys.exit('torchvision' in sys.modules or 'matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True, cwd=ROOT)
