from dataclasses import replace

import numpy as np
import pytest

from src import exploration


def test_the_overview_has_a_row_a_split(tiny):
    table = exploration.overview([tiny])
    assert table["images"].tolist() == ["(180, 32, 32, 3)", "(20, 32, 32, 3)", "(100, 32, 32, 3)"]
    assert table["labels"].tolist()[2] == "0 to 9"


def test_statistics_are_those_of_numpy_and_are_judged(tiny):
    table = exploration.channel_statistics([tiny])
    pixels = tiny.x_train / 255
    assert np.allclose(table["mean"], pixels.mean((0, 1, 2)), atol=1e-4)
    assert np.allclose(table["std"], pixels.std((0, 1, 2)), atol=1e-4)
    assert "not the complete published data" in exploration.statistics_sentence(table)


def test_duplicates_are_found_within_and_across_splits(tiny):
    x_train, x_test, y_train = tiny.x_train.copy(), tiny.x_test.copy(), tiny.y_train.copy()
    x_train[7] = x_train[3]
    y_train[7], y_train[3] = 1, 2
    x_test[5] = x_train[20]
    dataset = replace(tiny, x_train=x_train, x_test=x_test, y_train=y_train)
    groups = exploration.find_duplicates(dataset)
    assert sorted(sorted(place[:2] for place in group) for group in groups) == [
        [("test", 5), ("train", 20)],
        [("train", 3), ("train", 7)],
    ]
    assert "2 groups of identical images: 1 across" in exploration.duplicates_sentence(dataset, groups)
    assert "no image twice" in exploration.duplicates_sentence(tiny, [])
    assert "1 of 100 test images" in exploration.duplicates_consequence([dataset], {dataset.name: groups})


def test_sentences_count(tiny):
    assert "exactly even" in exploration.balance_sentence([tiny])
    assert "guessing gives 10 %" in exploration.mean_images_sentence([tiny])
    assert "darkest channel" in exploration.histogram_sentence([tiny])


@pytest.mark.real
def test_the_real_data_are_the_published_ones(real):
    assert "these are the published data" in exploration.statistics_sentence(exploration.channel_statistics([real]))


@pytest.mark.real
def test_cifar_100_has_its_known_duplicates(real):
    groups = exploration.find_duplicates(real)
    across = sum({part for part, *_ in group} == {"train", "test"} for group in groups)
    assert (len(groups), across) == (
        {"CIFAR10": 0, "CIFAR100": 26}[real.name],
        {"CIFAR10": 0, "CIFAR100": 10}[real.name],
    )
