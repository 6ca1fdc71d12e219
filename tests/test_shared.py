from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import QUICK, TIMES, same_weights

from src import features
from src.study import shared, sweep
from src.study.checkpoints import load_checkpoint, models_folder
from src.study.experiment import grid
from src.study.shared import load_shared
from src.study.sweep import run_experiment, run_sweep

CODES = grid(["CIFAR10"], ["features", "features_50"], [4, 6], probes=["linear", "mlp"])


@pytest.fixture
def learnt(monkeypatch):
    """The seeds with which features are learnt, in order."""
    seeds, learn = [], shared.learn_features
    monkeypatch.setattr(
        shared, "learn_features", lambda kind, images, seed, *how: seeds.append(seed) or learn(kind, images, seed, *how)
    )
    return seeds


def test_all_sizes_and_shares_have_features_that_were_learnt_once(study, learnt):
    run_sweep(CODES, n_jobs=1, settings=QUICK)
    assert learnt == [0]
    found = [
        {key: value for key, value in load_checkpoint(e)["state"].items() if key.startswith("patch_features")}
        for e in CODES
    ]
    assert all(same_weights(state, found[0]) for state in found)
    run_sweep(grid(["CIFAR10"], ["features"], [5], seeds=[0, 1], probes=[]), n_jobs=1, settings=QUICK)
    assert learnt == [0, 1]


@pytest.mark.parametrize("name", ["features_50", "both_50"])
def test_a_row_is_the_same_from_shared_and_from_own_features(study, monkeypatch, name):
    (experiment,) = grid(["CIFAR10"], [name], [6])
    rows = [run_experiment(experiment, settings=QUICK)]
    monkeypatch.setattr(sweep, "kinds_of", lambda autoencoder, latent_dim: ())
    rows.append(run_experiment(experiment, "own", QUICK))
    for row in rows:
        for column in TIMES:
            row.pop(column)
    assert rows[0] == rows[1]


def test_the_time_of_training_has_that_of_the_features_whatever_was_there_before(study, monkeypatch, tiny):
    load_shared(tiny, "patch_features", 0, QUICK.views)
    path = models_folder() / "CIFAR10_shared_patch_features_seed0.pt"
    kept = torch.load(path)
    torch.save(kept | {"seconds": 1000.0}, path)
    rows = [run_experiment(e, settings=QUICK) for e in CODES[:2]]
    assert all(1000 < row["autoencoder_seconds"] < 1100 for row in rows)


@pytest.mark.filterwarnings("ignore:.*damaged")
@pytest.mark.parametrize("change", ["data", "constant", "damage", "views"])
def test_what_was_made_by_another_is_not_taken(study, learnt, monkeypatch, tiny, change):
    before = load_shared(tiny, "patch_features", 0, 2)
    path = models_folder() / "CIFAR10_shared_patch_features_seed0.pt"
    dataset, views = tiny, 2
    if change == "data":
        dataset = type(tiny)("CIFAR10", 255 - tiny.x_train, tiny.y_train, tiny.x_test, tiny.y_test, tiny.classes)
    if change == "constant":
        monkeypatch.setattr(features, "LEARNT_FROM", 50)
    if change == "damage":
        path.write_bytes(path.read_bytes()[:-50])
    if change == "views":
        views = 3
    after = load_shared(dataset, "patch_features", 0, views)
    assert learnt == ([0] if change == "views" else [0, 0]) and len(after.views) == views
    assert np.array_equal(after.views[0], before.views[0]) == (change in ("damage", "views"))


def test_a_forward_pass_touches_no_disk(tiny, tmp_path, monkeypatch):
    model = features.FeatureAutoencoder(5)
    model.initialise(tiny.x_train)
    monkeypatch.setattr("builtins.open", None)
    assert model.eval().encode(torch.rand(250, 3, 32, 32)).shape == (250, 5)


def test_nested_codes_of_all_sizes_are_trained_once_and_rows_are_those_of_own_trainings(study, monkeypatch):
    trained, train = [], sweep.train_autoencoder
    monkeypatch.setattr(
        sweep, "train_autoencoder", lambda model, *a, **k: trained.append(model) or train(model, *a, **k)
    )
    codes = grid(["CIFAR10"], ["nested"], [4, 6, 100], probes=["linear"])
    together = run_sweep(codes, n_jobs=1, settings=QUICK)
    assert [model.latent_dim for model in trained] == [100]
    assert together.autoencoder_seconds.nunique() == 1
    alone = [run_experiment(e, f"alone_{e.latent_dim}", QUICK) for e in codes]
    assert [model.latent_dim for model in trained] == [100, 4, 6, 100]
    columns = [column for column in together if column not in TIMES]
    assert [[row[column] for column in columns] for row in alone] == together[columns].values.tolist()


def test_a_nested_code_does_not_take_weights_of_other_settings(study):
    small, large = grid(["CIFAR10"], ["nested"], [4, 100], probes=[])
    run_experiment(large, settings=QUICK)
    other = replace(QUICK, train=replace(QUICK.train, learning_rate=1e-3))
    run_experiment(small, settings=other)
    assert not same_weights(load_checkpoint(small)["state"], load_checkpoint(large)["state"])


def test_a_smaller_nested_code_leaves_the_checkpoint_of_the_largest_as_it_was(study):
    small, large = grid(["CIFAR10"], ["nested"], [4, 100], probes=["linear"])
    run_sweep([large], n_jobs=1, settings=QUICK)
    before = load_checkpoint(large)
    run_sweep([small], n_jobs=1, settings=QUICK)
    after = load_checkpoint(large)
    assert after["probes"] == ["linear"] and after["row"] == before["row"]
