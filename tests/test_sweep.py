import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import QUICK, TIMES, repository, same_weights
from filelock import FileLock
from PIL import Image

from src import train, utils
from src.autoencoder import VariationalAutoencoder
from src.baseline import MODELS, model_class
from src.data_loader import load_dataset
from src.evaluate import PROBES
from src.study import checkpoints, sweep
from src.study.checkpoints import (
    COLUMNS,
    checkpoint_path,
    load_checkpoint,
    read_results,
    results_path,
)
from src.study.experiment import grid
from src.study.sweep import SweepError, run_experiment, run_sweep
from src.train import TrainConfig
from src.utils import ROOT, save_atomically

PCA = grid(["CIFAR10"], ["pca"], [3, 4])
LONGER = replace(QUICK, train=TrainConfig(epochs=2, batch_size=64))


def run(experiments, settings=QUICK, **options):
    return run_sweep(experiments, n_jobs=1, settings=settings, **options)


def untimed(row):
    return {key: value for key, value in row.items() if key not in TIMES}


@pytest.fixture
def runs(monkeypatch):
    """The experiments that are run, in order."""
    runs, original = [], sweep.run_experiment
    monkeypatch.setattr(sweep, "run_experiment", lambda e, *rest: runs.append(e) or original(e, *rest))
    return runs


@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_experiment_leaves_a_whole_row(study, name):
    (experiment,) = grid(["CIFAR10"], [name], [5], probes=PROBES)
    row = run_experiment(experiment, settings=QUICK)
    assert list(row) == COLUMNS and {key: row[key] for key in experiment.key} == experiment.key
    assert row["is_sample"] is False and row["train_images"] == 180
    checkpoint = load_checkpoint(experiment)
    assert {*map(len, checkpoint["predictions"].values())} == {100} and checkpoint["row"] == row
    assert all(0 <= row[f"accuracy_{probe}"] <= 1 for probe in ("linear", "knn", "mlp"))
    has_decoder = model_class(name).has_decoder
    assert all((row[column] is not None) == has_decoder for column in ("val_mse", "test_psnr_db", "accuracy_cnn"))
    assert (row["kl_nats"] is not None) == (name == "vae")
    assert row["epochs"] == len(model_class(name).stages)


def test_finished_experiments_are_not_run_again(study, runs):
    first = run(grid(["CIFAR10"], ["conv"], [3]))
    both = run(grid(["CIFAR10"], ["conv", "pca"], [3]))
    assert [e.autoencoder for e in runs] == ["conv", "pca"]
    assert list(both.columns) == COLUMNS and both.iloc[0].equals(first.iloc[0])
    assert len(read_results()) == 2


def test_experiments_may_come_from_a_generator_and_repeat(study, runs):
    table = run(e for e in [PCA[1], PCA[0], PCA[1]])
    assert table.latent_dim.tolist() == [4, 3] and len(runs) == 2
    assert run([]).empty and run(iter([])).empty
    assert run([], folder="new").empty and read_results("new").empty


def test_changed_settings_run_again_and_replace_the_row(study, runs):
    experiments = grid(["CIFAR10"], ["conv"], [3])
    run(experiments)
    run(experiments, LONGER)
    assert len(runs) == 2 and read_results().epochs.tolist() == [2]


def test_other_folders_never_touch_the_full_study(study):
    run(PCA)
    files = {path: path.read_bytes() for path in study.rglob("*") if path.is_file()}
    run(PCA, sample=True)
    run(PCA, folder="quick")
    assert all(path.read_bytes() == content for path, content in files.items())
    assert len(read_results("sample")) == len(read_results("quick")) == 2


def test_the_sample_is_only_taken_where_it_is_asked_for(study, monkeypatch):
    def only_the_sample(name, download, sample):
        return load_dataset(name, sample=True)

    monkeypatch.setattr(sweep, "load_dataset", only_the_sample)
    with pytest.raises(SweepError, match="of CIFAR10 only the embedded sample is there"):
        run(PCA)


@pytest.mark.parametrize("change", ["settings", "data", "code", "damage"])
@pytest.mark.filterwarnings("ignore:.*damaged")
def test_stale_and_damaged_checkpoints_are_not_picked_up(study, monkeypatch, tiny, runs, change, capsys):
    run(PCA[:1])
    path, settings = checkpoint_path(PCA[0]), QUICK
    if change == "settings":
        settings = replace(QUICK, views=3)
    if change == "data":
        other = replace(tiny, y_train=tiny.y_train[::-1].copy())
        monkeypatch.setattr(sweep, "load_dataset", lambda name, download, sample: other)
    if change == "code":
        monkeypatch.setattr(checkpoints, "code_of_modules", lambda *names: "another")
    if change == "damage":
        path.write_bytes(path.read_bytes()[:-100])
    run(PCA[:1], settings)
    reason = "damaged checkpoint" if change == "damage" else f"other {change}"
    assert len(runs) == 2 and f"1 of 1 experiments to run: {reason}" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["vae", "spatial_finetuned"])
@pytest.mark.parametrize("place", ["training", "probes"])
def test_interrupted_experiments_go_on_to_the_same_row_and_weights(study, monkeypatch, name, place):
    (experiment,) = grid(["CIFAR10"], [name], [3])
    run([experiment], LONGER)
    whole = load_checkpoint(experiment)
    checkpoint_path(experiment).unlink()
    saves = []

    def save_and_stop(*args):
        save_atomically(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        if place == "training":
            patch.setattr(train, "save_atomically", save_and_stop)
        else:
            patch.setattr(sweep, "evaluate_probes", stop)
        run([experiment], LONGER)
    in_training = study / "models" / "in_training"
    assert list(in_training.iterdir())
    monkeypatch.setattr(train, "save_atomically", lambda *args: saves.append(args) or save_atomically(*args))
    run([experiment], LONGER)
    again = load_checkpoint(experiment)
    assert len(saves) == (whole["row"]["epochs"] - 1 if place == "training" else 0)
    assert same_weights(whole["state"], again["state"]) and untimed(whole["row"]) == untimed(again["row"])
    assert not list(in_training.iterdir())


def test_the_time_of_training_counts_what_was_before_an_interruption(study, monkeypatch):
    monkeypatch.setattr(sweep, "train_autoencoder", lambda *args, **options: [{"seconds": 40.0}, {"seconds": 60.0}])
    (experiment,) = grid(["CIFAR10"], ["pca"], [3], probes=[])
    assert run_experiment(experiment, settings=QUICK)["autoencoder_seconds"] == 100


def test_a_damaged_state_of_training_is_made_anew(study, monkeypatch):
    (experiment,) = grid(["CIFAR10"], ["vae"], [3])
    whole = untimed(run_experiment(experiment, settings=QUICK))
    checkpoint_path(experiment).unlink()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(sweep, "evaluate_probes", stop)
        run_experiment(experiment, settings=QUICK)
    (path,) = (study / "models" / "in_training").iterdir()
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.warns(UserWarning, match="damaged"):
        assert untimed(run_experiment(experiment, settings=QUICK)) == whole


def test_a_state_that_cannot_be_read_once_is_kept(study, monkeypatch):
    (experiment,) = grid(["CIFAR10"], ["vae"], [3])
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(sweep, "evaluate_probes", stop)
        run_experiment(experiment, settings=QUICK)
    (path,) = (study / "models" / "in_training").iterdir()
    before = path.read_bytes()
    with monkeypatch.context() as patch, pytest.raises(PermissionError):
        patch.setattr(Path, "read_bytes", lambda self: (_ for _ in ()).throw(PermissionError(13, "not now")))
        run_experiment(experiment, settings=QUICK)
    assert path.read_bytes() == before


@pytest.mark.parametrize("where", ["reports", "models"])
def test_a_folder_that_cannot_be_written_to_is_named_in_one_sentence(study, monkeypatch, where):
    original = utils.tempfile.mkstemp

    def refuse(dir=None, **how):
        if where in str(dir):
            raise OSError(30, "Read-only file system")
        return original(dir=dir, **how)

    monkeypatch.setattr(utils.tempfile, "mkstemp", refuse)
    with pytest.raises(SweepError, match=f"{where}.*Read-only file system") as error:
        run(PCA)
    assert error.value.__cause__ is None


def test_a_home_folder_is_that_of_the_user(study, monkeypatch):
    monkeypatch.setenv("HOME", str(study))
    run_sweep(PCA, 1, settings=QUICK, folder="~/mine")
    assert (study / "mine" / "results.csv").exists() and not list(study.rglob("~"))


def stop(*args):
    raise KeyboardInterrupt


def test_experiments_that_fail_are_named_and_the_others_go_on(study, monkeypatch):
    loss = VariationalAutoencoder.loss
    monkeypatch.setattr(VariationalAutoencoder, "loss", lambda *args: {k: v * math.nan for k, v in loss(*args).items()})
    monkeypatch.setattr(MODELS["random"], "initialise", lambda self, images: 1 / 0)
    with pytest.raises(SweepError) as error:
        run(grid(["CIFAR10"], ["vae", "random", "pca"], [3]))
    assert str(error.value).startswith(
        "2 of 3 experiments have no result: CIFAR10 vae d=3 seed 0: FloatingPointError: "
    )
    assert "CIFAR10 random d=3 seed 0: ZeroDivisionError: division by zero" in str(error.value)
    assert read_results().autoencoder.tolist() == ["pca"]


def test_more_probes_are_run_alone_on_the_model_of_the_checkpoint(study, monkeypatch, capsys):
    all_at_once = replace(PCA[0], autoencoder="vae", probes=tuple(PROBES))
    (expected,) = run([all_at_once]).to_dict("records")
    checkpoint_path(all_at_once).unlink()
    run([replace(all_at_once, probes=["linear"])])
    first, asked = load_checkpoint(all_at_once), []
    assert first["probes"] == ["linear"] and first["row"]["accuracy_knn"] is None
    original = sweep.evaluate_probes
    monkeypatch.setattr(sweep, "train_autoencoder", None)  # nothing is trained again
    monkeypatch.setattr(
        sweep, "evaluate_probes", lambda m, d, probes, *a: asked.append(probes) or original(m, d, probes, *a)
    )
    (row,) = run([all_at_once]).to_dict("records")
    assert "1 of 1 experiments to run: more probes" in capsys.readouterr().out and asked == [["knn", "mlp", "cnn"]]
    assert untimed(row) == untimed(expected)
    assert same_weights(load_checkpoint(all_at_once)["state"], first["state"])
    (row,) = run([replace(all_at_once, probes=["knn"])]).to_dict("records")
    assert row["accuracy_knn"] == expected["accuracy_knn"] and pd.isna(row["accuracy_linear"]) and len(asked) == 1
    assert read_results().accuracy_linear.notna().all()


def test_experiments_that_differ_in_probes_alone_are_one(study, runs):
    table = run([replace(PCA[0], probes=["linear"]), replace(PCA[0], probes=["knn", "linear"])])
    assert [e.probes for e in runs] == [("linear", "knn")] and len(table) == 1
    assert table.accuracy_knn.notna().all() and table.accuracy_linear.notna().all()


def test_two_sweeps_do_not_share_a_folder(study):
    results_path().parent.mkdir()
    with FileLock(results_path().with_name(".sweep.lock")):
        with pytest.raises(SweepError, match="another sweep is at work on"):
            run(PCA)
    assert len(run(PCA)) == 2


def test_workers_import_no_more_than_they_need():
    """torchvision, which only downloads need, is a second and 80 MB in every worker."""
    check = "import sys, src.study.sweep; sys.exit('torchvision' in sys.modules or 'matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True, cwd=ROOT)


OWN = """
class {name}(ConvAutoencoder):
    act = torch.relu

    def loss(self, x):
        return {{"total": {factor} * super().loss(x)["total"]}}
"""
SCRIPT = f"""
import sys, torch
from src.autoencoder import ConvAutoencoder
from src.baseline import MODELS
from src.study.experiment import Settings, grid
from src.study.sweep import run_sweep
from src.train import TrainConfig
from own import imported
{OWN.format(name="defined", factor=3)}
MODELS["defined"], MODELS["imported"] = defined, imported
if __name__ == "__main__":
    once = TrainConfig(epochs=1, batch_size=64)
    experiments = grid(["CIFAR10"], ["vae", "defined", "imported", "conv"], [3])[:: int(sys.argv[1])]
    run_sweep(experiments, int(sys.argv[2]), sample=True, settings=Settings(train=once, views=2, mlp=once, cnn=once))
"""


@pytest.mark.slow
def test_results_do_not_depend_on_what_ran_before_or_beside(tmp_path, tiny):
    """Two orders and two numbers of workers, in fresh processes; half of the autoencoders are not of this repository."""
    tables = []
    for order, jobs in ((1, 1), (-1, 2)):
        copy = repository(tmp_path / f"copy{jobs}", SCRIPT, tiny)
        own = "import torch\nfrom src.autoencoder import ConvAutoencoder\n" + OWN.format(name="imported", factor=2)
        (copy / "own.py").write_text(own)
        for expected in ("4 of 4 experiments to run: not run before", ""):
            command = [sys.executable, "go.py", str(order), str(jobs)]
            done = subprocess.run(command, capture_output=True, text=True, cwd=copy)
            assert done.returncode == 0, done.stderr
            assert expected in done.stdout and ("to run" in done.stdout) == bool(expected)
        tables.append(pd.read_csv(copy / "reports" / "sample" / "results.csv").drop(columns=TIMES))
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    assert tables[0].set_index("autoencoder").test_mse.nunique() == 4


FOLDER = """
import numpy as np
from PIL import Image
from src.data_loader import load_dataset, save_dataset
from src.images import load_image_folder
from src.report import classification, tables
from src.study.experiment import Settings, grid
from src.study.sweep import run_sweep
from src.train import TrainConfig

if __name__ == "__main__":
    save_dataset(load_image_folder("pictures", "colours"))
    once = TrainConfig(epochs=1, batch_size=16)
    settings = Settings(train=once, views=2, mlp=TrainConfig(epochs=20, batch_size=16), cnn=once)
    results = run_sweep(grid(["colours"], ["conv", "pca"], [3]), 2, settings=settings, folder="colours")
    assert {*results.dataset} == {"colours"} and (results.accuracy_knn == 1).all()
    assert "colours" in tables.as_markdown(tables.accuracy_table(results))
    classification.error_against_accuracy(results, ["conv", "pca"]).savefig("figure.png")
"""


@pytest.mark.slow
def test_a_folder_of_pictures_goes_through_the_sweep_with_several_workers(tmp_path, tiny):
    copy, rng = repository(tmp_path / "copy", FOLDER, tiny), np.random.default_rng(0)
    for channel, colour in enumerate(("red", "green", "blue")):
        (copy / "pictures" / colour).mkdir(parents=True)
        for number in range(60):
            picture = rng.integers(0, 60, (40, 50, 3), dtype=np.uint8)
            picture[..., channel] += 150
            Image.fromarray(picture).save(copy / "pictures" / colour / f"{number}.png")
    done = subprocess.run([sys.executable, "go.py"], capture_output=True, text=True, cwd=copy)
    assert done.returncode == 0, done.stderr
    assert (copy / "reports" / "colours" / "results.csv").exists() and (copy / "figure.png").exists()
