from dataclasses import replace

import numpy as np
import pytest

from src.autoencoder import AUTOENCODERS
from src.study.experiment import PRESETS, Experiment, Settings, grid, study

SIZES = (10, 20, 50, 100)


def test_the_grid_has_every_combination_in_order():
    experiments = grid(["CIFAR10", "CIFAR100"], ["conv", "vae"], SIZES, seeds=(0, 1))
    assert len(set(experiments)) == 32
    assert [str(e) for e in experiments[:3]] == [
        "CIFAR10 conv d=10 seed 0",
        "CIFAR10 conv d=10 seed 1",
        "CIFAR10 conv d=20 seed 0",
    ]


def test_a_code_of_one_size_is_taken_at_that_size():
    assert [e.latent_dim for e in grid(["CIFAR10"], ["pixels", "spatial"], SIZES)] == [3072, 128]


def test_arrays_and_generators_are_taken_as_lists_are():
    expected = grid(["CIFAR10"], ["conv", "vae"], [3, 4, 5], [0, 1], ["linear", "knn"])
    assert grid(["CIFAR10"], ["conv", "vae"], np.arange(3, 6), np.arange(2), ("linear", "knn")) == expected
    lazy = [iter(x) for x in (["CIFAR10"], ["conv", "vae"], [3, 4, 5], [0, 1], ["linear", "knn"])]
    assert grid(*lazy) == expected
    assert all(type(e.latent_dim) is type(e.seed) is int for e in expected)


def test_a_probe_may_be_named_alone():
    (experiment,) = grid(["CIFAR10"], ["conv"], [3], probes="mlp")
    assert experiment.probes == ("mlp",) == Experiment("CIFAR10", "conv", 3, probes=["mlp"]).probes


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dataset": "MNIST"}, "unknown data set 'MNIST': choose one of CIFAR10, CIFAR100"),
        ({"autoencoder": "gan"}, "unknown 'gan': choose one of conv, vae"),
        ({"latent_dim": 0}, "conv: latent_dim must be a whole number from 1 to 1024"),
        ({"autoencoder": "spatial"}, "spatial: latent_dim must be a whole number from 128 to 128"),
        ({"latent_dim": 2.0}, "latent_dim"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"probes": ("svm",)}, "unknown 'svm': choose one of linear, knn, mlp, conv"),
    ],
)
def test_an_experiment_that_cannot_be_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        replace(Experiment("CIFAR10", "conv", 10), **wrong)


@pytest.mark.parametrize("views", [0, 1.5, None])
def test_settings_out_of_range_are_refused(views):
    with pytest.raises(ValueError, match="views must be a whole number of at least 1"):
        Settings(views=views)


@pytest.mark.parametrize("name", PRESETS)
def test_a_study_has_three_seeds_where_its_preset_repeats_and_one_elsewhere(name):
    preset, repeated = PRESETS[name], {"conv": (10, 100), "features": SIZES} if name == "full" else {}
    experiments = study(preset, ["CIFAR10"], ["conv", "vae", "pca"], SIZES)
    names = {"conv", "vae", *preset.features["CIFAR10"], *preset.baselines}
    expected = {(n, size, 0) for n in names for size in SIZES if len(AUTOENCODERS[n].latent_dims) > 1}
    expected |= {(n, AUTOENCODERS[n].latent_dims[0], 0) for n in names if len(AUTOENCODERS[n].latent_dims) == 1}
    expected |= {(n, size, seed) for n in repeated for size in repeated[n] for seed in (1, 2)}
    expected -= {(n, size, 0) for n in ("supervised", "random_start") for size in (20, 50)}  # the slowest
    assert sorted((e.autoencoder, e.latent_dim, e.seed) for e in experiments) == sorted(expected)
    slow = {(e.autoencoder, e.seed) for e in experiments if "conv" in e.probes}
    assert slow == {(name, 0) for name in preset.conv_probe}


def test_a_code_of_one_size_has_one_seed_and_a_probe_may_be_named_alone_in_a_study():
    experiments = study(PRESETS["full"], ["CIFAR10"], ["conv", "pixels"], [50], probes="mlp")
    assert [e.seed for e in experiments if e.autoencoder == "pixels"] == [0]
    assert {probe for e in experiments for probe in e.probes} == {"mlp", "conv"}  # of which the preset adds one


def test_a_study_leaves_out_the_sizes_that_its_features_have_not():
    experiments = study(PRESETS["full"], ["CIFAR10"], ["conv"], [100, 384])
    sizes = {name: {e.latent_dim for e in experiments if e.autoencoder == name} for name in ("conv", "features_90")}
    assert sizes == {"conv": {100, 384}, "features_90": {100}}


@pytest.mark.parametrize("name", PRESETS)
def test_small_codes_come_first_and_features_before_all(name):
    experiments = study(PRESETS[name], ["CIFAR10", "CIFAR100"], ["conv"], SIZES)
    sizes = [e.latent_dim for e in experiments]
    assert sizes == sorted(sizes) and experiments[0].autoencoder in PRESETS[name].features["CIFAR10"]


def test_probes_that_a_preset_leaves_out_are_run_on_the_other_codes():
    for asked, found in ((("linear", "mlp"), ("mlp",)), (("linear",), ())):
        experiments = study(PRESETS["quick"], ["CIFAR10"], ["conv"], [10], probes=asked)
        assert {e.probes for e in experiments if e.autoencoder == "pixels"} == {found}
        assert {e.probes for e in experiments if e.autoencoder != "pixels"} == {asked}


def test_the_seeds_of_a_study_can_be_chosen():
    with pytest.raises(ValueError, match="seed must be a whole number"):
        study(PRESETS["full"], ["CIFAR10"], ["conv"], [10], seeds=[])
    for seeds in (np.arange(4, 6), iter([4, 5])):
        experiments = study(PRESETS["full"], ["CIFAR10"], iter(["conv"]), np.array([10]), seeds=seeds)
        found = {n: {e.seed for e in experiments if e.autoencoder == n} for n in ("conv", "features", "random")}
        assert found == {"conv": {4, 5}, "features": {4, 5}, "random": {4}}
