import copy
import math

import numpy as np
import pytest
import torch
from conftest import random_dataset

from src.autoencoder import AUTOENCODERS, build_autoencoder
from src.baseline import PCACode
from src.train import (
    TrainConfig,
    code_views,
    encode_images,
    evaluate,
    random_view,
    reconstruct_images,
    reconstruction_errors,
    train_autoencoder,
)
from src.utils import one_thread

QUICK = TrainConfig(epochs=3, batch_size=32)
PCA = PCACode(5)
PCA.prepare(random_dataset().x_train)


def train(name, dataset, seed=0, config=QUICK):
    torch.manual_seed(seed)
    model = build_autoencoder(name, 5)
    with one_thread():
        return model, train_autoencoder(model, dataset, config, seed, progress=False)


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_the_loss_falls_and_the_history_is_complete(name, sample):
    _, history = train(name, sample)
    assert [record["epoch"] for record in history] == [1, 2, 3]
    assert history[-1]["train_total"] < history[0]["train_total"]
    assert history[-1]["val_total"] < history[0]["val_total"] + 1e-3 * abs(history[0]["val_total"])
    assert {"seconds", "train_reconstruction", "val_reconstruction"} <= set(history[0])


def test_training_beats_its_start_on_the_images_it_saw(sample):
    images, _ = sample.split("train")
    start = build_autoencoder("conv", 5)
    start.prepare(images)
    model, _ = train("conv", sample, config=TrainConfig(epochs=3))
    assert reconstruction_errors(model, images).mean() < reconstruction_errors(start, images).mean()


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_the_seed_decides_the_weights(name, tiny):
    (first, _), (same, _), (other, _) = (train(name, tiny, seed) for seed in (0, 0, 1))
    states = [model.state_dict() for model in (first, same, other)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert any(not torch.equal(states[0][key], states[2][key]) for key in states[0])


def test_labels_do_not_reach_an_autoencoder(tiny):
    shuffled = copy.copy(tiny)
    object.__setattr__(shuffled, "y_train", np.zeros_like(tiny.y_train))
    first, second = (train("conv", dataset)[0].state_dict() for dataset in (tiny, shuffled))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_code_in_closed_form_is_ready_at_once(tiny):
    model = PCACode(5)
    assert train_autoencoder(model, tiny, progress=False) == []
    assert model.components.abs().sum() > 0


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_encoding_and_reconstructing_leave_the_model_as_it_is(name, tiny):
    model = build_autoencoder(name, 5)
    before = copy.deepcopy(model.state_dict())
    z = encode_images(model, tiny.x_test)
    rebuilt = reconstruct_images(model, tiny.x_test)
    assert z.shape == (100, 5) and z.dtype == np.float32
    assert rebuilt.shape == (100, 32, 32, 3) and rebuilt.min() >= 0 and rebuilt.max() <= 1
    errors = reconstruction_errors(model, tiny.x_test)
    assert np.allclose(errors, np.square(rebuilt - tiny.x_test / 255).mean((1, 2, 3)), atol=1e-6)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_a_mirrored_view_is_as_good_as_a_copy(tiny):
    model = build_autoencoder("conv", 5)
    mirrored = tiny.x_test[:, :, ::-1]
    expected = encode_images(model, mirrored.copy())
    assert np.array_equal(encode_images(model, mirrored), expected)


def test_the_first_view_is_the_images_and_the_others_are_moved_and_mirrored(tiny):
    first, second, third = code_views(PCA, tiny.x_test, 3)
    assert np.allclose(first, encode_images(PCA, tiny.x_test), atol=0.1)
    assert not np.allclose(first, second, atol=0.1) and not np.allclose(second, third, atol=0.1)
    rows = np.arange(32, dtype=np.uint8)
    images = np.broadcast_to(rows[:, None, None] + 100 * (rows[None, :, None] // 31), (2, 32, 32, 3))
    seen = [random_view(images, np.random.default_rng(seed)) for seed in range(60)]
    assert {view.shape for view in seen} == {(2, 32, 32, 3)}
    assert {int(view[0, 10, 10, 0]) for view in seen} == {8, 9, 10, 11, 12}  # moved down or up by as much as 2 pixels
    assert any(view[0, 10, :5, 0].max() > 100 for view in seen)  # mirrored: the bright edge is on the left


def test_batches_of_evaluation_are_weighted_by_their_size(tiny, monkeypatch):
    model = build_autoencoder("conv", 5)
    whole = evaluate(model, tiny.x_test)
    monkeypatch.setattr("src.train.EVALUATION_BATCH", 33)
    assert evaluate(model, tiny.x_test)["total"] == pytest.approx(whole["total"], rel=1e-5)


def test_the_log_for_tensorboard_has_every_epoch_and_changes_nothing(tiny, tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    plain, history = train("vae", tiny)
    with one_thread():
        torch.manual_seed(0)
        logged = build_autoencoder("vae", 5)
        train_autoencoder(logged, tiny, QUICK, progress=False, log_dir=tmp_path)
    assert all(torch.equal(value, logged.state_dict()[key]) for key, value in plain.state_dict().items())
    log = events.EventAccumulator(str(tmp_path)).Reload()
    assert [point.value for point in log.Scalars("val_kl")] == pytest.approx([record["val_kl"] for record in history])
    assert len(log.Images(log.Tags()["images"][0])) > 0


def test_a_loss_that_is_not_finite_stops_with_its_epoch(tiny, monkeypatch):
    model = build_autoencoder("conv", 5)
    loss = model.loss
    monkeypatch.setattr(model, "loss", lambda x: {key: value * math.nan for key, value in loss(x).items()})
    with pytest.raises(FloatingPointError, match="conv 5: the loss is nan in epoch 1"):
        train_autoencoder(model, tiny, QUICK, progress=False)


@pytest.mark.parametrize(
    "setting", [{"epochs": 0}, {"epochs": 1.5}, {"batch_size": 0}, {"learning_rate": 0.0}, {"dense_rate": math.nan}]
)
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        TrainConfig(**setting)


def test_a_misspelt_setting_is_an_error():
    with pytest.raises(TypeError):
        TrainConfig(epoch=3)


@pytest.mark.parametrize("images", [np.zeros((2, 32, 32, 3), np.float32), np.zeros((0, 32, 32, 3), np.uint8), [[1]]])
def test_wrong_images_are_refused(images):
    with pytest.raises(ValueError, match="images"):
        encode_images(build_autoencoder("conv", 5), images)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_it_trains_on_cuda(tiny):
    model, history = train("vae", tiny)
    assert next(model.parameters()).is_cuda and math.isfinite(history[-1]["val_total"])
