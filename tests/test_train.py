import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import ONCE, same_weights
from torch import nn

from src import encode, train
from src.autoencoder import ConvAutoencoder, build_autoencoder
from src.data_loader import ImageDataset, load_dataset
from src.encode import encode_images, reconstruction_errors, to_batch
from src.train import Muon, TrainConfig, build_optimizers, fit, mean_loss, train_autoencoder
from src.utils import DATA_DIR, save_atomically

TWICE = replace(ONCE, epochs=2)


def trained(name, dataset, seed=0, config=ONCE, **options):
    model = build_autoencoder(name, 128 if name.startswith("spatial") else 5, seed)
    return model, train_autoencoder(model, dataset, config, seed, progress=False, **options)


@pytest.mark.parametrize("name", ["conv", "vae", "denoising"])
def test_the_loss_falls_and_the_history_is_complete(name, tiny):
    _, history = trained(name, tiny, config=TrainConfig(epochs=4, batch_size=16))
    assert [record["epoch"] for record in history] == [1, 2, 3, 4]
    assert history[-1]["train_total"] < history[0]["train_total"]
    assert {"seconds", "train_reconstruction", "val_total", "val_reconstruction"} <= set(history[0])


@pytest.mark.slow
def test_training_beats_its_start_on_the_images_it_saw(sample):
    images, _ = sample.split("train")
    start = build_autoencoder("conv", 5)
    start.initialise(images)
    model, history = trained("conv", sample, config=TrainConfig(epochs=3))
    assert reconstruction_errors(model, images).mean() < reconstruction_errors(start, images).mean()
    assert history[-1]["val_total"] < history[0]["val_total"] + 1e-3 * abs(history[0]["val_total"])


@pytest.mark.parametrize(
    "name", ["conv", "vae", "denoising", "supervised", "spatial_finetuned", "nested", "features_50"]
)
def test_the_seed_decides_the_weights_and_the_random_state_stays(name, tiny):
    torch.manual_seed(7)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    first, _ = trained(name, tiny)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before[1:]
    torch.manual_seed(8)
    assert same_weights(first, trained(name, tiny, np.int64(0))[0])
    assert not same_weights(first, trained(name, tiny, 1)[0])


def test_every_other_image_is_mirrored_at_random(tiny, monkeypatch):
    seen, loss = [], ConvAutoencoder.loss
    monkeypatch.setattr(ConvAutoencoder, "loss", lambda self, x: (self.training and seen.append(x)) or loss(self, x))
    trained("conv", tiny)
    images = to_batch(tiny.split("train")[0], "cpu")
    plain, mirrored = (
        torch.stack([(torch.cat(seen) == x).all((1, 2, 3)) for x in xs]) for xs in (images, images.flip(3))
    )
    assert torch.equal(plain.sum(1) + mirrored.sum(1), torch.ones(len(images), dtype=torch.int64))
    assert 0.35 < mirrored.sum() / len(images) < 0.65


def test_labels_reach_an_encoder_only_where_its_class_says_so(tiny):
    other = replace(tiny, y_train=np.zeros_like(tiny.y_train))
    assert same_weights(trained("conv", tiny)[0], trained("conv", other)[0])
    assert not same_weights(trained("supervised", tiny)[0], trained("supervised", other)[0])


@pytest.mark.parametrize("name", ["pca", "random"])
def test_a_code_in_closed_form_is_ready_at_once(name, tiny):
    model, history = trained(name, tiny)
    assert history == [] and sum(parameter.abs().sum() for parameter in model.parameters()) > 0


@pytest.mark.parametrize("images", [2, 3])
@pytest.mark.parametrize("name", ["conv", "vae", "pca", "supervised"])
def test_two_images_are_enough(name, images, tiny):
    dataset = replace(tiny, x_train=tiny.x_train[:images], y_train=tiny.y_train[:images])
    model, history = trained(name, dataset)
    assert np.isfinite(encode_images(model, tiny.x_test)).all()
    assert name == "supervised" or np.isfinite(reconstruction_errors(model, tiny.x_test)).all()
    assert all(math.isfinite(value) for record in history for value in record.values())


def test_images_that_are_all_alike_can_be_trained_on():
    x, y = np.full((20, 32, 32, 3), 100, np.uint8), np.zeros(20, int)
    for name in ("conv", "vae", "pca"):
        model, _ = trained(name, ImageDataset("grey", x, y, x, y, ("grey",)))
        assert reconstruction_errors(model, x).mean() < 0.01


@pytest.mark.parametrize("name", ["vae", "supervised", "spatial_finetuned", "features_50"])
def test_training_that_is_interrupted_goes_on_to_the_same_weights(name, tiny, tmp_path, monkeypatch):
    whole, history = trained(name, tiny, config=TWICE)
    path, saves = str(tmp_path / "state.pt"), []

    def save_and_stop(state, path):
        save_atomically(state, path)
        saves.append(path)
        if len(saves) in (1, 3):
            raise KeyboardInterrupt

    monkeypatch.setattr(train, "save_atomically", save_and_stop)
    for _ in range(3):
        try:
            again, records = trained(name, tiny, config=TWICE, checkpoint=path)
        except KeyboardInterrupt:
            continue
    assert same_weights(whole, again) and len(saves) == len(history)
    untimed = [[{k: v for k, v in record.items() if k != "seconds"} for record in h] for h in (history, records)]
    assert untimed[0] == untimed[1]


class Other(ConvAutoencoder):
    pass


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "other seed"),
        ({"config": TWICE}, "other config"),  # also the way to ask for more epochs
        ({"name": "vae"}, "other autoencoder and network and start and code"),
        ({"model": build_autoencoder("conv", 5, seed=1)}, "other start"),
        ({"model": Other(5)}, "other autoencoder and network and start and code"),
        ({"model": build_autoencoder("denoising", 5)}, "other autoencoder and network and code"),
        ({"dataset": "other"}, "other data"),
    ],
)
def test_the_state_of_another_training_is_refused(tiny, tmp_path, change, message):
    path = tmp_path / "state.pt"
    trained("conv", tiny, checkpoint=path)
    before = path.read_bytes()
    model = change.get("model") or build_autoencoder(change.get("name", "conv"), 5)
    dataset = replace(tiny, y_train=tiny.y_train[::-1].copy()) if "dataset" in change else tiny
    with pytest.raises(ValueError, match=f"state.pt is of another training: {message};"):
        train_autoencoder(model, dataset, change.get("config", ONCE), change.get("seed", 0), False, str(path))
    assert path.read_bytes() == before


def test_a_loop_of_ones_own_goes_on_from_its_checkpoint(tmp_path):
    def run(epochs):
        model, x = nn.Linear(2, 1), torch.ones(4, 2)
        config = replace(ONCE, epochs=2)
        own = {"after_epoch": lambda record: {} if record["epoch"] <= epochs else 1 / 0}
        own["loss"] = lambda x: {"total": model(x).square().mean()}
        return fit(model, lambda: [(x,)], config=config, steps=1, checkpoint=tmp_path / "state.pt", **own)

    with pytest.raises(ZeroDivisionError):
        run(1)
    assert [record["epoch"] for record in run(2)] == [1, 2]


@pytest.mark.filterwarnings("ignore:.*damaged")
@pytest.mark.parametrize("kind", ["state_dict", "list", "text", "npz", "cut", "folder"])
def test_a_file_of_another_kind_is_refused_and_kept(tiny, tmp_path, kind):
    path = tmp_path / "file.pt"
    if kind in ("state_dict", "list"):
        torch.save(build_autoencoder("conv", 5).state_dict() if kind == "state_dict" else [1], path)
    if kind == "text":
        path.write_text("my notes")
    if kind == "npz":
        np.savez(tmp_path / "file.npz", x=np.zeros(3))
        path = tmp_path / "file.npz"
    if kind == "cut":
        trained("conv", tiny, checkpoint=path)
        path.write_bytes(path.read_bytes()[:-1000])
    if kind == "folder":
        path.mkdir()
    before = path.read_bytes() if path.is_file() else None
    expected = (
        f"Is a directory.*{path.name}" if kind == "folder" else f"{path.name} is damaged, or no state of training"
    )
    with pytest.raises((ValueError, IsADirectoryError), match=expected):
        trained("conv", tiny, checkpoint=path)
    assert path.is_dir() or path.read_bytes() == before


def test_the_seed_of_training_decides_beside_that_of_the_start(tiny):
    models = [build_autoencoder("random_start", 5) for _ in range(3)]
    for model, seed in zip(models, (0, 0, 1), strict=True):
        train_autoencoder(model, tiny, ONCE, seed=seed, progress=False)
    assert same_weights(models[0], models[1]) and not same_weights(models[0], models[2])


def test_muon_takes_the_kernels_and_adamw_all_else():
    model = build_autoencoder("vae", 5).to(memory_format=torch.channels_last)
    (adamw, muon), schedules = build_optimizers(
        model, TrainConfig(kernel_rate=0.3, learning_rate=0.1, linear_rate=0.5), 20
    )
    kernels = [parameter for parameter in model.parameters() if parameter.ndim == 4]
    assert [id(kernel) for kernel in muon.kernels] == [id(kernel) for kernel in kernels]
    others, linear = (group["params"] for group in adamw.param_groups)
    assert all(parameter.ndim == 1 for parameter in others) and len(linear) == 6
    assert len(kernels) + len(others) + len(linear) == len(list(model.parameters()))
    peaks = [[rate["max_lr"] for rate in optimizer.param_groups] for optimizer in (adamw, muon)]
    assert peaks == [[0.1, 0.05], [0.3]] and len(schedules) == 2


def test_a_model_without_kernels_has_one_optimizer():
    assert len(build_optimizers(torch.nn.Linear(3, 2), TrainConfig(), 20)[0]) == 1


def test_muon_on_a_kernel_is_that_of_torch_on_its_matrix():
    convolution = torch.nn.Conv2d(4, 6, 3).to(memory_format=torch.channels_last)
    matrix = torch.nn.Parameter(convolution.weight.detach().permute(0, 2, 3, 1).reshape(6, 36).clone())
    optimizers = Muon([convolution.weight], lr=0.1), torch.optim.Muon([matrix], lr=0.1)
    for seed in range(3):
        x = torch.rand(2, 4, 8, 8, generator=torch.Generator().manual_seed(seed))
        convolution(x).square().sum().backward()
        matrix.grad = convolution.weight.grad.permute(0, 2, 3, 1).reshape(6, 36).clone()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        assert torch.equal(convolution.weight.permute(0, 2, 3, 1).reshape(6, 36), matrix)
        assert convolution.weight.grad is None


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize("steps", [1, 2, 9, 10, 11, 100])
def test_the_rates_rise_and_fall_over_any_number_of_steps(steps):
    optimizers, schedules = build_optimizers(
        torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last), TrainConfig(), steps
    )
    rates = [[optimizer.param_groups[0]["lr"] for optimizer in optimizers]]
    for _ in range(steps - 1):
        for schedule in schedules:
            schedule.step()
        rates.append([optimizer.param_groups[0]["lr"] for optimizer in optimizers])
    assert np.all(np.diff(rates, axis=0)[-steps * 4 // 5 :] < 0)
    assert steps < 100 or rates[9] == pytest.approx([6e-3, 0.02])


def test_the_mean_loss_weighs_batches_by_their_size(tiny, monkeypatch):
    model = build_autoencoder("conv", 5)
    whole = mean_loss(model, tiny.x_test)
    monkeypatch.setattr(encode, "BATCH", 33)
    assert mean_loss(model, tiny.x_test)["total"] == pytest.approx(whole["total"], rel=1e-5)


def test_a_function_of_the_callers_is_called_with_every_epoch_and_changes_nothing(tiny):
    plain, history = trained("vae", tiny, config=TWICE)
    seen = []
    hooked, _ = trained("vae", tiny, config=TWICE, on_epoch=lambda record: (seen.append(record), torch.rand(3)))
    assert same_weights(plain, hooked) and [record["epoch"] for record in seen] == [1, 2]
    assert [record["val_kl"] for record in seen] == [record["val_kl"] for record in history]


def test_images_alone_are_enough_where_no_label_is_looked_at(tiny):
    of_images, of_dataset = build_autoencoder("conv", 5), build_autoencoder("conv", 5)
    train_autoencoder(of_images, tiny.x_train, ONCE, progress=False)
    train_autoencoder(of_dataset, tiny, ONCE, progress=False)
    assert same_weights(of_images, of_dataset)
    with pytest.raises(ValueError, match="supervised is trained with labels; give an ImageDataset"):
        train_autoencoder(build_autoencoder("supervised", 5), tiny.x_train, ONCE)
    with pytest.raises(ValueError, match=r"images must be a uint8 array \(N, 32, 32, 3\)"):
        train_autoencoder(build_autoencoder("conv", 5), tiny.x_train / 255, ONCE)


class Weighted(ConvAutoencoder):
    def __init__(self, latent_dim, beta=1.0):
        super().__init__(latent_dim)
        self.beta = beta

    def loss(self, x):
        terms = super().loss(x)
        return {"total": self.beta * terms["total"], "beta": self.beta}


def test_another_weight_of_the_loss_is_another_training_and_a_plain_number_may_be_a_term(tiny, tmp_path):
    models = []
    for _ in range(2):
        torch.manual_seed(0)
        models.append(Weighted(5, beta=1.0 + len(models)))
    history = train_autoencoder(models[0], tiny, ONCE, progress=False, checkpoint=tmp_path / "state.pt")
    assert history[0]["train_beta"] == history[0]["val_beta"] == 1.0
    with pytest.raises(
        ValueError, match=r"state\.pt is of another training: other network; give this one another path"
    ):
        train_autoencoder(models[1], tiny, ONCE, progress=False, checkpoint=tmp_path / "state.pt")


class Normed(ConvAutoencoder):
    def __init__(self, latent_dim):
        super().__init__(latent_dim)
        self.norm = nn.BatchNorm1d(latent_dim)

    def encoder(self, x):
        return self.norm(super().encoder(x))


def test_a_last_batch_of_one_image_is_left_out(tiny):
    dataset = replace(tiny, x_train=tiny.x_train[:143], y_train=tiny.y_train[:143])  # two batches of 64, and one image
    assert len(dataset.split("train")[0]) == 129
    assert math.isfinite(train_autoencoder(Normed(3), dataset, ONCE, progress=False)[0]["train_total"])


def test_a_single_step_learns(tiny):
    optimizers, _ = build_optimizers(nn.Linear(3, 2), TrainConfig(linear_rate=1.0), 1)
    assert optimizers[0].param_groups[1]["lr"] > 0.1 * TrainConfig().learning_rate


def test_kernels_that_muon_would_never_move_are_refused():
    with pytest.raises(ValueError, match="channels-last"):
        Muon([nn.Conv2d(4, 6, 3).weight], lr=0.1)


def test_a_loss_that_is_not_finite_stops_with_its_epoch(tiny, monkeypatch):
    loss = ConvAutoencoder.loss
    monkeypatch.setattr(ConvAutoencoder, "loss", lambda *args: {k: v * math.nan for k, v in loss(*args).items()})
    with pytest.raises(FloatingPointError, match="the loss is nan in epoch 1"):
        trained("conv", tiny)


@pytest.mark.parametrize(
    "setting",
    [
        {"epochs": 0},
        {"epochs": 1.5},
        {"epochs": True},
        {"batch_size": 0},
        {"kernel_rate": math.inf},
        {"learning_rate": 0.0},
        {"linear_rate": math.nan},
        {"weight_decay": -1},
    ],
)
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        TrainConfig(**setting)


def test_settings_of_numpy_are_those_of_python(tiny, tmp_path):
    numbers = {"epochs": np.int64(1), "batch_size": np.int32(64), "learning_rate": np.float64(9e-3)}
    config = TrainConfig(**numbers, weight_decay=np.float32(0))
    assert {type(getattr(config, name)) for name in numbers} == {int, float}
    path = tmp_path / "state.pt"
    first, second = (trained("conv", tiny, np.int64(1), config, checkpoint=path)[0] for _ in range(2))
    assert same_weights(first, second)


def test_a_misspelt_setting_is_an_error():
    with pytest.raises(TypeError):
        TrainConfig(epoch=3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_it_trains_on_cuda(tiny):
    model, history = trained("vae", tiny)
    assert next(model.parameters()).is_cuda and math.isfinite(history[-1]["val_total"])


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize("latent_dim", [1, 10, 100, 384, 512])
def test_on_the_real_data_every_size_is_better_than_its_start(latent_dim):
    if not (DATA_DIR / "CIFAR10").exists():
        pytest.skip("data/CIFAR10 is not there")
    dataset = load_dataset("CIFAR10", download=False)
    model, (validation, _) = build_autoencoder("conv", latent_dim), dataset.split("validation")
    model.initialise(dataset.split("train")[0])
    start = reconstruction_errors(model, validation).mean()
    train_autoencoder(model, dataset, progress=False)
    assert reconstruction_errors(model, validation).mean() < start


def test_a_training_of_few_steps_is_told_so(tiny):
    with pytest.warns(UserWarning, match="2 steps train little: 27 images in batches of 128; more epochs"):
        train_autoencoder(build_autoencoder("conv", 2), tiny.x_train[:30], progress=False)
