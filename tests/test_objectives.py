import pytest
import torch

from src.autoencoder import ConvAutoencoder
from src.objectives import OBJECTIVES


@pytest.fixture
def x():
    return torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def rebuilding(x, result):
    """An autoencoder whose reconstruction of `x` is `result`."""

    def make(name):
        model = OBJECTIVES[name](4)
        model.reconstruct = lambda z: result
        return model

    return make


@pytest.mark.parametrize("name", OBJECTIVES)
def test_only_the_loss_differs_and_it_trains_the_code(name, x):
    model = OBJECTIVES[name](4)
    plain = ConvAutoencoder(4).state_dict()
    assert {key: value.shape for key, value in model.state_dict().items()} == {k: v.shape for k, v in plain.items()}
    terms = model.loss(x)
    terms["total"].backward()
    assert model.to_code.weight.grad.abs().sum() > 0
    assert terms["reconstruction"].item() > 0


def test_detail_counts_five_times_and_the_mean_of_a_patch_once(x):
    even = rebuilding(x, x + 0.1)("detail").loss(x)
    assert even["total"].item() == pytest.approx(0.01, rel=1e-3)
    checks = torch.ones(32, 32)
    checks[::2, ::2] = checks[1::2, 1::2] = -1
    fine = rebuilding(x, x + 0.1 * checks)("detail").loss(x)
    assert fine["total"].item() == pytest.approx(0.05, rel=1e-3)


def test_colour_counts_a_quarter(x):
    grey = rebuilding(x, x + 0.1)("luminance").loss(x)
    assert grey["total"].item() == pytest.approx(0.01, rel=1e-3)
    colour = rebuilding(x, x + 0.1 * torch.tensor([1.0, -1, 0]).view(3, 1, 1))("luminance").loss(x)
    assert colour["total"].item() == pytest.approx(colour["reconstruction"].item() / 4, rel=1e-3)


def test_the_contrast_is_small_where_codes_find_their_views(x):
    model = OBJECTIVES["contrastive"](16)
    model.code = lambda batch: torch.eye(16)
    found = model.loss(x)["contrast"].item()
    model.code = lambda batch: torch.ones(16, 16)
    assert found < 0.2 < model.loss(x)["contrast"].item() == pytest.approx(torch.tensor(16.0).log().item(), rel=1e-4)


def test_views_stay_images(x):
    view = OBJECTIVES["contrastive"](4).view(x)
    assert view.shape == x.shape and view.min() >= 0 and view.max() <= 1 and not torch.equal(view, x)
