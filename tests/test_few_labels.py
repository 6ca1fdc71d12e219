from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from src.autoencoder import build_autoencoder
from src.study import few_labels as module
from src.study.few_labels import choose, few_labels


@pytest.fixture
def measure(tiny, monkeypatch):
    """`few_labels` with a short training, of one code on random images."""
    monkeypatch.setattr(module, "FROM_SCRATCH", replace(module.FROM_SCRATCH, epochs=3, batch_size=32))
    monkeypatch.setattr(module, "STEPS", 24)
    pca = build_autoencoder("pca", 5)
    pca.initialise(tiny.x_train)
    return lambda dataset=tiny, draws=2: few_labels(dataset, {"pca": pca}, (2, 10, 50), draws, n_jobs=1)


@pytest.mark.parametrize("count", [1, 5, 18])
def test_as_many_images_of_each_class_are_chosen_without_repetition(count):
    labels = np.random.default_rng(0).permutation(np.arange(180) % 10)
    chosen = choose(labels, count, 3)
    assert np.bincount(labels[chosen]).tolist() == [count] * 10 and len({*chosen}) == 10 * count
    assert np.array_equal(chosen, choose(labels, count, 3)) and not np.array_equal(chosen, choose(labels, count, 4))


def test_the_table_has_a_row_a_code_count_and_draw(measure, monkeypatch):
    before, table = (torch.get_rng_state(), np.random.get_state()[1].tolist()), measure()
    assert torch.equal(torch.get_rng_state(), before[0]) and np.random.get_state()[1].tolist() == before[1]
    assert {*table.columns} == {"dataset", "code", "per_class", "draw", "accuracy"} and {*table.dataset} == {"CIFAR10"}
    rows = [
        (code, count, draw) for code in ("pca", "scratch") for count in (2, 10) for draw in (0, 1)
    ]  # 50 there are not
    assert list(table[["code", "per_class", "draw"]].itertuples(index=False, name=None)) == rows
    assert (table[table.per_class == 10].groupby("code").accuracy.mean() > 0.2).all()  # chance is 0.1
    torch.manual_seed(8)
    pd.testing.assert_frame_equal(table, measure(), check_exact=True)


def test_each_code_is_read_by_the_probe_that_does_best_on_its_labelled_images():
    draw = np.random.default_rng(0)
    labels = np.arange(300) % 2
    ring = draw.standard_normal((300, 2)).astype(np.float32)
    ring *= ((1 + 2 * labels) / np.linalg.norm(ring, axis=1))[:, None]  # which no linear probe can tell apart
    found = module.train_best_probe(ring[:100], labels[:100])
    assert isinstance(found.best_params_["probe"], SVC) and found.score(ring[100:], labels[100:]) > 0.95
    line = np.stack([0.01 * (labels - 0.5), draw.standard_normal(300)], 1).astype(np.float32)
    assert isinstance(module.train_best_probe(line[:100], labels[:100]).best_params_["scaling"], StandardScaler)


def test_a_count_of_one_is_refused(tiny):
    with pytest.raises(ValueError, match="a count must be a whole number of at least 2, not 1"):
        few_labels(tiny, {}, (1,), 1)


def test_what_is_learnt_from_is_of_the_training_split(measure, tiny):
    images, labels = tiny.x_train.copy(), tiny.y_train.copy()
    images[180:], labels[180:] = 255 - images[180:], labels[180:][::-1]
    other = replace(tiny, x_train=images, y_train=labels)
    pd.testing.assert_frame_equal(measure(draws=1), measure(other, draws=1), check_exact=True)


def test_a_class_without_images_is_passed_over(tiny, measure):
    chosen, tested = tiny.y_train != 4, tiny.y_test != 4
    parts = {"x_train": tiny.x_train[chosen], "y_train": tiny.y_train[chosen]}
    parts |= {"x_test": tiny.x_test[tested], "y_test": tiny.y_test[tested]}
    table = measure(replace(tiny, **parts), draws=1)
    assert table.per_class.unique().tolist() == [2, 10] and table.accuracy.between(0.05, 1).all()


def test_where_no_class_has_enough_the_table_is_empty(tiny):
    table = few_labels(tiny, {}, (50,), 1, n_jobs=1)
    assert table.empty and {"code", "per_class", "accuracy", "dataset"} <= {*table.columns}
