from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from src.report import data


def test_the_overview_has_a_row_a_split(tiny):
    table = data.overview([tiny])
    assert table["images"].tolist() == ["(180, 32, 32, 3)", "(20, 32, 32, 3)", "(100, 32, 32, 3)"]
    assert table["labels"].tolist()[2] == "0 to 9"


def test_statistics_are_those_of_numpy(tiny):
    table, pixels = data.channel_statistics([tiny]), tiny.x_train / 255
    assert np.allclose(table["mean"], pixels.mean((0, 1, 2)), atol=1e-4)
    assert np.allclose(table["std"], pixels.std((0, 1, 2)), atol=1e-4)


def test_duplicates_are_found_within_and_across_splits(tiny):
    x_train, x_test, y_train = tiny.x_train.copy(), tiny.x_test.copy(), tiny.y_train.copy()
    x_train[7] = x_train[3]
    y_train[7], y_train[3] = 1, 2
    x_test[5] = x_train[20]
    dataset = replace(tiny, x_train=x_train, x_test=x_test, y_train=y_train)
    groups = data.find_duplicates(dataset)
    assert sorted(sorted(place[:2] for place in group) for group in groups) == [
        [("test", 5), ("train", 20)],
        [("train", 3), ("train", 7)],
    ]
    counts = data.count_duplicates({"a": groups, "b": data.find_duplicates(tiny)})
    assert counts.loc["a"].tolist()[:2] == [2, 1] and counts.loc["b"].tolist() == [0, 0, 0]
    data.duplicate_images(dataset, groups)
    plt.close("all")


def test_every_figure_is_drawn(tiny, tiny100):
    figures = [data.channel_histograms([tiny]), data.class_grid(tiny)]
    figures += [data.class_grid(tiny100), data.mean_images(tiny), data.mean_images(tiny100)]
    assert all(figure.axes for figure in figures)
    for count in (3, 12):  # classes of one's own
        y_train, y_test, classes = np.arange(200) % count, np.arange(100) % count, tuple(map(str, range(count)))
        own = replace(tiny, name="own", y_train=y_train, y_test=y_test, classes=classes)
        shown = data.mean_images(own).axes
        assert [ax.get_title() for ax in shown if ax.axison] == list(classes) and data.class_grid(own).axes
        assert data.channel_statistics([own])["published mean"].isna().all()
    plt.close("all")


@pytest.mark.real
def test_the_real_data_are_the_published_ones(real):
    table = data.channel_statistics([real])
    assert np.allclose(table["mean"], table["published mean"], atol=5e-4)
    assert np.allclose(table["std"], table["published std"], atol=5e-4)
    balance = data.overview([real])["images of a class"].tolist()
    assert balance[1] == {"CIFAR10": "475 to 532", "CIFAR100": "37 to 64"}[real.name]


@pytest.mark.real
def test_cifar_100_has_its_known_duplicates(real):
    counts = data.count_duplicates({real.name: data.find_duplicates(real)}).iloc[0].tolist()
    assert counts == {"CIFAR10": [0, 0, 0], "CIFAR100": [26, 10, 17]}[real.name]
