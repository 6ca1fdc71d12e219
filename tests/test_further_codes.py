import numpy as np
import pandas as pd
import pytest
import torch
from torchvision.models import ResNet18_Weights, resnet18

from src import further_codes, further_findings, outcomes, plots, sweep
from src.classifier import ClassifierConfig
from src.experiment import Experiment, Settings
from src.further_codes import NestedAutoencoder, ResNetCode
from src.pretrained import WeightsUnavailableError, imagenet_weights, why_no_transfer
from src.train import TrainConfig, encode_images, reconstruction_errors, train_autoencoder

QUICK = TrainConfig(epochs=1, batch_size=64)


@pytest.fixture(scope="module")
def nested(tiny):
    torch.manual_seed(0)
    model = NestedAutoencoder()
    train_autoencoder(model, tiny, QUICK, progress=False)
    return model


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A ResNet-18 with weights of chance, where torch would keep the ones of ImageNet."""
    torch.manual_seed(0)
    network = resnet18().eval()
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    torch.save(network.state_dict(), tmp_path / "checkpoints" / ResNet18_Weights.DEFAULT.url.rpartition("/")[2])
    return network


def test_smaller_codes_are_the_first_numbers_of_the_largest(nested, tiny):
    z = encode_images(nested, tiny.x_test)
    for size in (10, 50):
        torch.manual_seed(0)
        smaller = NestedAutoencoder(size)
        train_autoencoder(smaller, tiny, QUICK, progress=False)
        assert all(torch.equal(value, smaller.state_dict()[key]) for key, value in nested.state_dict().items())
        assert np.allclose(encode_images(smaller, tiny.x_test), z[:, :size], atol=1e-5)


def test_what_is_left_out_of_a_code_is_decoded_as_nothing(nested):
    z = torch.randn(3, 100, generator=torch.Generator().manual_seed(0))
    smaller = NestedAutoencoder(20)
    smaller.load_state_dict(nested.state_dict())
    cut = torch.where(torch.arange(100) < 20, z, 0.0)
    with torch.no_grad():
        assert torch.allclose(smaller.decode(z[:, :20]), nested.decode(cut), atol=1e-5)


def test_all_four_sizes_are_trained_and_weigh_the_same():
    model, x = NestedAutoencoder(), torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    model.prepare((x.permute(0, 2, 3, 1).numpy() * 255).astype(np.uint8))
    terms = model.loss(x)
    errors = []
    for part, size in zip((x[0::4], x[1::4], x[2::4], x[3::4]), further_codes.NESTED_SIZES, strict=True):
        z = torch.where(torch.arange(100) < size, model.encode(part), 0.0)
        errors.append((model.reconstruct(z) - part).square().mean())
    assert terms["total"].item() == pytest.approx(np.mean([error.log().item() for error in errors]), rel=1e-4)
    assert terms["reconstruction"].item() == pytest.approx(np.mean([error.item() for error in errors]), rel=1e-4)
    assert torch.isfinite(model.loss(x[:1])["total"])


def test_every_size_rebuilds_better_than_the_smaller(sample):
    model, errors = NestedAutoencoder(), []
    train_autoencoder(model, sample, QUICK, progress=False)
    for size in further_codes.NESTED_SIZES:
        model.latent_dim = size
        errors.append(reconstruction_errors(model, sample.x_test).mean())
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.4 * errors[0]


def test_transfer_gives_the_features_of_the_network(weights, tiny):
    model = ResNetCode()
    assert train_autoencoder(model, tiny, QUICK, progress=False) == []  # nothing to train
    z = encode_images(model, tiny.x_test[:4])
    x = torch.from_numpy(tiny.x_test[:4]).permute(0, 3, 1, 2) / 255
    large = torch.nn.functional.interpolate(x, size=64, mode="bilinear")
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        logits = weights((large - mean) / std)
        assert z.shape == (4, 512) and torch.allclose(weights.fc(torch.from_numpy(z)), logits, atol=1e-3)


def test_transfer_leaves_a_row_in_the_same_table(weights, tiny, monkeypatch, tmp_path):
    for name in ("MODELS_DIR", "REPORTS_DIR"):
        monkeypatch.setattr(outcomes, name, tmp_path / name)
    monkeypatch.setattr(sweep, "load_dataset", lambda *args, **kwargs: tiny)
    once = ClassifierConfig(epochs=1, batch_size=32)
    experiment = Experiment("CIFAR10", "resnet18", 512)
    (row,) = sweep.run_sweep([experiment], n_jobs=1, settings=Settings(views=1, mlp=once)).to_dict("records")
    assert why_no_transfer() == "" and row["epochs"] == 0 and row["accuracy_knn"] > 0 and pd.isna(row["test_mse"])
    z = encode_images(outcomes.load_autoencoder(experiment), tiny.x_test[:4])
    assert np.array_equal(z, encode_images(_prepared(ResNetCode()), tiny.x_test[:4]))


def _prepared(model):
    model.prepare(None)
    return model


def test_without_weights_it_says_where_they_may_be_put(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no route")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", refuse)
    with pytest.raises(
        WeightsUnavailableError, match=r"resnet18-\w+.pth, could not be had \(no route\); .*checkpoints"
    ):
        imagenet_weights()
    assert "no route" in why_no_transfer()


@pytest.mark.parametrize(("code", "size"), [(NestedAutoencoder, 101), (ResNetCode, 100)])
def test_other_sizes_are_refused(code, size):
    with pytest.raises(ValueError, match=r"numbers, not 101|features, not 100"):
        code(size)


@pytest.fixture
def with_nested(results):
    """The table with a nested code that leaves 2 % more error than conv and is read one point worse."""
    conv = results[results.autoencoder == "conv"]
    nested = conv.assign(autoencoder="nested", test_mse=1.02 * conv.test_mse, accuracy_mlp=conv.accuracy_mlp - 0.01)
    resnet = conv[conv.latent_dim == 100].assign(autoencoder="resnet18", latent_dim=512, accuracy_mlp=0.8)
    return pd.concat([results, nested, resnet], ignore_index=True)


def test_the_cost_of_one_code_for_all_sizes_is_computed(with_nested):
    words = further_findings.one_for_all(with_nested)
    assert words.count("+2.0, +2.0, +2.0, +2.0 %") == words.count("-1.0, -1.0, -1.0, -1.0 points") == 2
    assert words.count("below PCA's at 4 of 4 sizes") == 2  # 1.02 * 0.9 of PCA's error
    table = further_findings.one_for_all_table(with_nested)
    assert "| CIFAR10 accuracy, nested AE | 39.0 % | 44.0 % | 49.0 % | 54.0 % |" in table
    figure = plots.one_for_all(with_nested)
    drawn = {line.get_label(): line.get_ydata() for line in figure.axes[1].lines}
    assert "difference" in figure.axes[1].get_ylabel() and np.allclose(drawn["convolutional AE"], 0)
    assert any(np.allclose(line.get_ydata(), -1) for line in figure.axes[1].lines)


def test_transfer_is_put_into_words_or_said_to_be_left_out(with_nested):
    words = further_findings.transfer(with_nested)
    assert words.count("the MLP 80.0 %") == 2 and "55.0 % from the convolutional code of 100 numbers" in words
    assert further_findings.transfer(with_nested, "no route") == "The pretrained ResNet-18 is left out: no route."
