"""The self-supervised network: its loss by value, its views, and what training does."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from src import self_supervised
from src.self_supervised import contrastive_loss, crop_view, train_view_network
from src.train import fit
from src.utils import seeded


def test_the_loss_is_that_of_its_definition():
    torch.manual_seed(0)
    count, views = 3, 4
    z = torch.randn(views * count, 5)
    unit, terms = F.normalize(z, dim=1), []
    for i in range(len(z)):
        others = [math.exp(unit[i] @ unit[j] / 0.2) for j in range(len(z)) if j % count != i % count]
        pairs = [(unit[i] @ unit[j] / 0.2).item() for j in range(len(z)) if j % count == i % count and j != i]
        terms.append(math.log(sum(others)) - sum(pairs) / len(pairs))
    assert contrastive_loss(z, count).item() == pytest.approx(np.mean(terms), rel=1e-5)


def test_like_views_of_unlike_images_have_the_least_loss():
    apart, alike = torch.eye(4).repeat(3, 1), torch.ones(12, 4)
    assert contrastive_loss(apart, 4) < contrastive_loss(alike, 4)
    assert contrastive_loss(apart, 4).item() == pytest.approx(math.log(9) - 5)


def test_views_are_images_that_differ_from_each_other(sample):
    x = torch.from_numpy(sample.x_test[:200]).permute(0, 3, 1, 2) / 255
    with seeded(0):
        first, second = crop_view(x), crop_view(x)
    with seeded(0):
        again = crop_view(x)
    assert torch.equal(first, again) and first.shape == x.shape and first.min() >= 0 and first.max() <= 1
    assert (first - second).abs().mean() > 0.05 and (first - x).abs().mean() > 0.05
    grey = (first.amax(1) - first.amin(1)).amax((1, 2)) < 0.02
    assert 0.1 < grey.float().mean() < 0.35


def test_without_a_change_a_view_is_the_image(sample, monkeypatch):
    x = torch.from_numpy(sample.x_test[:20]).permute(0, 3, 1, 2) / 255
    monkeypatch.setattr(self_supervised, "_uniform", lambda x, low, high: torch.full((len(x),), (low + high) / 2))
    assert torch.allclose(crop_view(x, least_area=1), x, atol=0.02)


def test_training_lowers_the_loss_and_can_be_interrupted(tiny, tmp_path):
    with seeded(0):
        whole, history = train_view_network(tiny.x_train)
    self_supervised_config = self_supervised.CONFIG
    assert len(history) == self_supervised_config.epochs and history[0]["train_total"] < 10

    class StopError(Exception):
        pass

    def stop(record):
        raise StopError

    path = tmp_path / "state.pt"
    with seeded(0), pytest.raises(StopError):
        train_view_network(tiny.x_train, path, on_epoch=stop)
    with seeded(0):
        resumed, _ = train_view_network(tiny.x_train, path)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
    assert fit is self_supervised.fit
