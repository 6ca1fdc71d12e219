from dataclasses import replace

import numpy as np
import pytest

from src.study.experiment import FEATURES, Experiment, Network, Settings, full, grid, merge, quick

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
        ({"autoencoder": "gan"}, "unknown 'gan': choose one of conv, vae, denoising"),
        ({"latent_dim": 0}, "ConvAutoencoder: latent_dim must be a whole number from 1 to 1024"),
        ({"autoencoder": "spatial"}, "SpatialAutoencoder: latent_dim must be a whole number from 128 to 128"),
        ({"latent_dim": 2.0}, "latent_dim"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"probes": ("svm",)}, "unknown 'svm': choose one of linear, knn, mlp, cnn"),
    ],
)
def test_an_experiment_that_cannot_be_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        replace(Experiment("CIFAR10", "conv", 10), **wrong)


@pytest.mark.parametrize("views", [0, 1.5, None])
def test_settings_out_of_range_are_refused(views):
    with pytest.raises(ValueError, match="views must be a whole number of at least 1"):
        Settings(views=views)


AT_100 = {"supervised", "random_start", "random"}  # of the full study


def cells(experiments):
    return sorted((e.autoencoder, e.latent_dim, e.seed) for e in experiments)


def test_the_quick_study_has_few_baselines_at_every_size():
    expected = [(name, size, 0) for name in ("conv", "vae", "pca", "random", "features") for size in SIZES]
    assert cells(quick(["CIFAR10"], ["conv", "vae", "pca"], SIZES)) == sorted([*expected, ("pixels", 3072, 0)])


def test_the_full_study_has_codes_of_features_and_what_gives_a_scale():
    expected = [(name, size, 0) for name in ("conv", "vae", "pca", *FEATURES) for size in SIZES]
    expected += [("pixels", 3072, 0), ("spatial", 128, 0), *((name, 100, 0) for name in AT_100)]
    assert cells(full(["CIFAR10"], ["conv", "vae", "pca"], SIZES)) == sorted(expected)


def test_the_slowest_probe_is_run_on_the_codes_that_are_compared():
    with_cnn = {(e.autoencoder, e.latent_dim) for e in full(["CIFAR10"], ["conv", "vae"], SIZES) if "cnn" in e.probes}
    rivals = {(name, size) for name in ("conv", "pca") for size in SIZES}  # whose best probe it is
    assert with_cnn == rivals | {("pixels", 3072), *((name, 100) for name in FEATURES)}
    assert not [e for e in quick(["CIFAR10"], ["conv", "vae"], SIZES) if "cnn" in e.probes]


def test_of_the_second_data_set_the_full_study_has_less():
    of_100 = [e for e in full(["CIFAR10", "CIFAR100"], ["conv", "vae"], SIZES) if e.dataset == "CIFAR100"]
    expected = [(name, size, 0) for name in ("conv", "vae", "pca") for size in SIZES]
    assert cells(of_100) == sorted([*expected, *((name, 100, 0) for name in FEATURES)])
    assert {e.autoencoder for e in of_100 if "cnn" in e.probes} == {"conv", "pca"}


def test_experiments_that_differ_in_their_probes_alone_are_one():
    experiments = [Experiment("CIFAR10", "conv", 3, probes=probes) for probes in (("mlp",), ("knn", "mlp"))]
    assert merge([*experiments, Experiment("CIFAR10", "conv", 4)]) == [
        Experiment("CIFAR10", "conv", 3, probes=("mlp", "knn")),
        Experiment("CIFAR10", "conv", 4),
    ]


def test_a_code_of_one_size_has_one_seed_and_a_probe_may_be_named_alone_in_a_study():
    experiments = full(["CIFAR10"], ["conv", "pixels"], [50], probes="mlp")
    assert [e.seed for e in experiments if e.autoencoder == "pixels"] == [0]
    assert {probe for e in experiments for probe in e.probes} == {"mlp", "cnn"}  # of which the study adds one


@pytest.mark.parametrize("study", [quick, full])
def test_a_study_leaves_out_the_sizes_that_its_features_have_not(study):
    experiments = study(["CIFAR10"], ["conv"], [100, 384])
    sizes = {name: {e.latent_dim for e in experiments if e.autoencoder == name} for name in ("conv", "features")}
    assert sizes == {"conv": {100, 384}, "features": {100}}


def test_probes_that_the_quick_study_leaves_out_are_run_on_the_other_codes():
    for asked, found in ((("linear", "mlp"), ("mlp",)), (("linear",), ())):
        experiments = quick(["CIFAR10"], ["conv"], [10], probes=asked)
        assert {e.probes for e in experiments if e.autoencoder == "pixels"} == {found}
        assert {e.probes for e in experiments if e.autoencoder != "pixels"} == {asked}


def test_the_seeds_of_a_study_can_be_chosen():
    for study in (quick, full):
        with pytest.raises(ValueError, match="seeds is empty; give one at least"):
            study(["CIFAR10"], ["conv"], [10], seeds=[])
    for seeds in (np.arange(4, 6), iter([4, 5])):
        experiments = full(["CIFAR10"], iter(["conv"]), np.array([100]), seeds=seeds)
        found = {n: {e.seed for e in experiments if e.autoencoder == n} for n in ("conv", "features", "random")}
        assert found == {"conv": {4, 5}, "features": {4, 5}, "random": {4}}


def test_sizes_of_numpy_are_those_of_python():
    assert type(Network(width=np.int64(8)).width) is int
    with pytest.raises(ValueError, match="depth must be a whole number of at least 1"):
        Network(depth=0)
