"""Which test images every probe has right, and what that says of two codes."""

import numpy as np
import pytest
from conftest import QUICK

from src.study.answers import collect_answers, paired_difference, paired_differences, read_answers, save_answers
from src.study.experiment import grid
from src.study.sweep import run_sweep


@pytest.fixture
def answers():
    """Two seeds of one code, one of another: 400 images."""
    rng, found = np.random.default_rng(0), {}
    base = rng.random(400)
    for name, seed, rate in (("conv", 0, 0.6), ("conv", 1, 0.62), ("pca", 0, 0.5)):
        found["CIFAR10", name, 10, seed, "mlp"] = base < rate
    found["CIFAR10", "conv", 10, 0, "linear"] = base < 0.3
    return found


def test_the_answers_are_those_of_the_table(study, tiny):
    experiments = grid(["CIFAR10"], ["pca", "random"], [3, 4])
    rows = run_sweep(experiments, 1, settings=QUICK).set_index(["autoencoder", "latent_dim"])
    save_answers(collect_answers(experiments, {"CIFAR10": tiny}))
    found = read_answers()
    assert len(found) == 4 * 3
    for (_, name, size, _, probe), is_right in found.items():
        assert is_right.shape == (100,)
        assert is_right.mean() == pytest.approx(rows.loc[(name, size), f"accuracy_{probe}"])


def test_a_difference_is_paired_and_over_seeds(answers):
    points, error = paired_difference(answers, "CIFAR10", 10, "conv", "pca")
    first = [x for (_, name, _, _, probe), x in answers.items() if (name, probe) == ("conv", "mlp")]
    second = answers["CIFAR10", "pca", 10, 0, "mlp"]
    per_image = np.mean(first, axis=0) - second
    assert points == pytest.approx(100 * per_image.mean())
    assert error == pytest.approx(100 * per_image.std(ddof=1) / 20)
    unpaired = 100 * np.sqrt(2 * 0.25 / 400)
    assert error < unpaired / 1.5
    assert paired_difference(answers, "CIFAR10", 10, "pca", "pca") == (0, 0)


def test_two_probes_are_compared_as_two_codes_are(answers):
    points, error = paired_difference(answers, "CIFAR10", 10, "conv", "pca", "linear", "mlp")
    assert points < -10 and 0 < error < 5


def test_what_was_not_run_is_named(answers):
    with pytest.raises(ValueError, match="the knn probe was not run on CIFAR10 conv d=10"):
        paired_difference(answers, "CIFAR10", 10, "conv", "pca", "knn")
    assert paired_differences(answers, "CIFAR10", [5, 10], "conv", "pca", "mlp").index.to_list() == [10]
