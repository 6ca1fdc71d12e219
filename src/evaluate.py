"""What is measured of a trained autoencoder: the image that its code keeps, what the code costs, the class that probes read."""

import io
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from sklearn.metrics import accuracy_score
from tqdm import tqdm

from src.autoencoder import PIXELS, Autoencoder, kl_divergence
from src.baseline import MODELS
from src.classifier import (
    CNN,
    MLP,
    class_bits,
    fit_temperature,
    predict_logits,
    score_logits,
    train_classifier,
    train_decoder_classifier,
    train_linear_classifier,
    train_neighbours,
)
from src.encode import (
    decode_codes,
    device_of,
    encode_images,
    encode_views,
    image_batches,
    reconstruction_errors,
    to_batch,
)
from src.train import TrainConfig, mean_loss
from src.utils import as_bytes, check_images, check_latents, for_torch, seeded, whole_number

ACTIVE_NATS = 0.01  # a unit whose mean divergence from the prior is above this counts as active
MEMORY = 2e9  # bytes that the views of a code may take together; where they take more, each is made when it is used


class FunctionPair(Autoencoder):
    """Any two functions as an autoencoder: `encode`, from uint8 images (N, 32, 32, 3) to codes (N, d), and `decode` back.

    `decode` gives images (N, 32, 32, 3), uint8 or float in [0, 1]; it is None where there is none. Either may be a torch module,
    which takes and gives float images (N, 3, 32, 32) in [0, 1]; `encode` may be an Autoencoder, which has both. `example` are two
    images or more, from whose codes d is seen. A ValueError says what else a function gave.
    """

    def __init__(self, encode, decode, example):
        super(Autoencoder, self).__init__()  # whose codes may have any size
        if isinstance(encode, Autoencoder):
            decode = partial(decode_codes, encode) if encode.has_decoder else None
            encode = partial(encode_images, encode)
        if isinstance(encode, torch.nn.Module):
            encode = partial(_encode_with, encode.eval())
        if isinstance(decode, torch.nn.Module):
            decode = partial(_decode_with, decode.eval())
        self.name, self.functions, self.has_decoder = "functions", (encode, decode), decode is not None
        self.latent_dim = _codes_of(encode, example.copy()).shape[1]  # a copy, which the function may change

    def count_with(self, bar):
        """Move a progress bar by every image that is encoded."""
        encode, decode = self.functions

        def encode_and_count(images):
            bar.update(len(images))
            return encode(images)

        self.functions = encode_and_count, decode

    def encoder(self, x):
        with torch.autocast(x.device.type, enabled=False):  # a function may be torch's, too
            z = _codes_of(self.functions[0], (255 * x).round().byte().permute(0, 2, 3, 1).cpu().numpy())
        if z.shape != (len(x), self.latent_dim):
            raise ValueError(f"encode must give ({len(x)}, {self.latent_dim}) for {len(x)} images, not {z.shape}")
        return torch.from_numpy(z)

    def decoder(self, z):
        with torch.autocast(z.device.type, enabled=False):
            images = _as_array(self.functions[1](z.float().cpu().numpy()))
        if images.shape != (len(z), 32, 32, 3):
            raise ValueError(f"decode must give ({len(z)}, 32, 32, 3) for {len(z)} codes, not {images.shape}")
        check_images(as_bytes(images), "what decode gives")
        scale = 255 if images.dtype == np.uint8 else 1
        return torch.from_numpy(for_torch(images)).to(z.device).permute(0, 3, 1, 2) / scale


def _codes_of(encode, images):
    return check_latents(_as_array(encode(images)), "the codes")


@torch.no_grad()
def _encode_with(module, images):
    return module(to_batch(images, device_of(module)))


@torch.no_grad()
def _decode_with(module, z):
    return module(torch.from_numpy(z).to(device_of(module))).permute(0, 2, 3, 1).clamp(0, 1)


def _as_array(values):
    """What a function gave as an array, also a tensor with a gradient or on a GPU."""
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)


def evaluate(encode, decode, dataset, name="own", probes=("linear", "knn", "mlp"), seed=0, views=8, mlp=MLP, cnn=CNN):
    """The row of the results' table of any encoder, as a dict by column, under `name`.

    `encode` and `decode` are functions, torch modules or an Autoencoder (see FunctionPair); `dataset` is an ImageDataset. The encoder
    is taken as it is: whether it has seen the test images is for its owner to say. All else is as in `evaluate_probes`; for a row that is
    comparable with a study's, pass its `views`, `mlp` and `cnn`. Most of the time goes into encoding `views` of every training image, of
    which a bar shows the progress. In a frame with other rows it stands in the same tables and figures. Raises ValueError if `name` is
    a model's, since tables would average the two.
    """
    if name.lower() in map(str.lower, MODELS):
        raise ValueError(f"{name!r} is a model of the study; give yours another name")
    whole_number(views, "views", 1)
    (images, _), (validation, _), (test, _) = (dataset.split(part) for part in ("train", "validation", "test"))
    model = FunctionPair(encode, decode, test[:2])
    row = {
        "dataset": dataset.name,
        "autoencoder": name,
        "latent_dim": model.latent_dim,
        "seed": seed,
        "is_sample": dataset.is_sample,
        "train_images": len(images),
        "test_images": len(test),
    }
    count = views * len(images) + (1 + model.has_decoder) * (len(validation) + len(test))
    with tqdm(total=count, desc=f"{name}: images encoded (fewer with views=1)", file=sys.stdout, leave=False) as bar:
        model.count_with(bar)
        if model.has_decoder:
            row.update(measure_reconstruction(model, dataset))
        return row | evaluate_probes(model, dataset, probes, seed, views, mlp, cnn)[0]


def measure_reconstruction(model, dataset):
    """`val_mse`, `test_mse` and `test_psnr_db` of the deterministic reconstruction; PSNR is the mean over images, at most 100 dB."""
    (validation, _), (test, _) = dataset.split("validation"), dataset.split("test")
    errors = reconstruction_errors(model, test)
    row = {"val_mse": reconstruction_errors(model, validation).mean().item(), "test_mse": errors.mean().item()}
    return row | {"test_psnr_db": -10 * np.log10(np.maximum(errors, 1e-10)).mean().item()}


@torch.no_grad()
def measure_information(model, dataset):
    """What a VAE's code costs on test images: `kl_nats` per image, `bits_per_dim` of the bound, and `active_units`."""
    (validation, _), (test, _) = dataset.split("validation"), dataset.split("test")
    kl = torch.cat([kl_divergence(*model.posterior(x)).cpu() for x in image_batches(model, test)])
    kl_nats = kl.sum(1).mean().item()
    with seeded(0):
        # the decoder's variance must not come from the test split
        variance = mean_loss(model, validation)["reconstruction"]
        bits = bits_per_dimension(kl_nats, mean_loss(model, test)["reconstruction"], variance)
    return {"kl_nats": kl_nats, "bits_per_dim": bits, "active_units": (kl.mean(0) > ACTIVE_NATS).sum().item()}


def bits_per_dimension(kl, error, variance):
    """A VAE's bound on the code length of 8-bit images, in bits/dim.

    `kl` in nats per image, `error` the MSE from a sampled code and `variance` the decoder's, both for images in [0, 1]. The
    normal density is averaged over each pixel's bin of width 1/255, which bounds the bin's probability by Jensen's inequality
    and adds the variance of a uniform variable to the error.
    """
    error = error + 1 / (12 * 255**2)
    nats = PIXELS / 2 * (math.log(2 * math.pi * variance) + error / variance) + kl
    return nats / PIXELS / math.log(2) + math.log2(255)


def png_bits_per_dim(images):
    """Mean bits per dimension of uint8 images (N, 32, 32, 3) as PNG files, each with its header."""
    sizes = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "png")
        sizes.append(len(file.getvalue()))
    return 8 * np.mean(sizes) / PIXELS


@dataclass
class ProbeTask:
    """What probes are trained on: the codes of the training images and their labels; `views` are codes of other views of the images.

    `views` is a list or a generator without end, of which networks take the next one every epoch.
    """

    model: torch.nn.Module
    codes: np.ndarray
    views: list
    labels: np.ndarray
    n_classes: int
    seed: int
    mlp: TrainConfig
    cnn: TrainConfig


def score_network(network, validation, test):
    """Scores and predictions of a network on test codes and labels; the temperature of its `bits` is from validation images."""
    logits, (z, y) = predict_logits(network, test[0]), validation
    bits = class_bits(logits / fit_temperature(predict_logits(network, z), y), test[1])
    return score_logits(logits, test[1]) | {"bits": bits}


def score_estimator(estimator, validation, test):
    predictions = estimator.predict(test[0])
    return {"accuracy": accuracy_score(test[1], predictions), "predictions": predictions}


class Probe(NamedTuple):
    """How a probe is trained, from a ProbeTask, and scored; which scores are columns of the table.

    `score` takes what was trained, and codes and labels of the validation and of the test images, a pair each; it gives a dict with
    `predictions` and the scores.
    """

    train: Callable
    score: Callable
    columns: tuple[str, ...] = ("accuracy",)
    takes_views: bool = False
    needs_decoder: bool = False


# The one place where a probe is entered; a column is called SCORE_NAME, as accuracy_linear. Its label, colour and marker are in
# src.report.style.
PROBES = {
    "linear": Probe(
        lambda task: train_linear_classifier(task.codes, task.labels, task.model.inverse_penalty), score_estimator
    ),
    "knn": Probe(lambda task: train_neighbours(task.codes, task.labels), score_estimator),
    "mlp": Probe(
        lambda task: train_classifier(task.views, task.labels, task.n_classes, task.mlp, task.seed),
        score_network,
        columns=("accuracy", "top5", "macro_f1", "bits"),
        takes_views=True,
    ),
    "cnn": Probe(
        lambda task: train_decoder_classifier(task.model, task.views, task.labels, task.n_classes, task.cnn, task.seed),
        score_network,
        columns=("accuracy", "bits"),
        takes_views=True,
        needs_decoder=True,
    ),
}


def evaluate_probes(model, dataset, probes, seed=0, views=8, mlp=MLP, cnn=CNN, features=None):
    """Train `probes`, names of PROBES, on the codes of the training images and score them on those of the test images.

    The two networks see another view of every image each epoch, `views` of them in turn. Returns the columns of the table
    with `classifier_seconds`, and a dict with the test `predictions` of each probe, int16 (M,), and the weights of the MLP, where it
    is among them, as `classifier`. Test codes are those of `encode_images`, which users have. A probe of decoded images is passed
    over where the model has no decoder.
    `features` are those of a FeatureAutoencoder, where they are known, as `encode_views` takes them.
    """
    probes = (probes,) if isinstance(probes, str) else tuple(probes)
    if unknown := [probe for probe in probes if probe not in PROBES]:
        raise ValueError(f"unknown probe {unknown[0]!r}: choose one of {', '.join(PROBES)}")
    start, row, found = time.thread_time(), {}, {"predictions": {}}
    images, labels = dataset.split("train")
    held_out = [(encode_images(model, x), y) for x, y in (dataset.split("validation"), dataset.split("test"))]
    count = views if any(PROBES[probe].takes_views for probe in probes) else 1
    codes, all_views = _views_of(model, images, count, seed, features)
    for name in probes:
        probe = PROBES[name]
        if probe.needs_decoder and not model.has_decoder:
            continue
        # each starts at the first view, whatever was trained before it
        task = ProbeTask(model, codes, all_views(), labels, len(dataset.classes), seed, mlp, cnn)
        fitted = probe.train(task)
        scores = probe.score(fitted, *held_out)
        row.update({f"{column}_{name}": scores[column] for column in probe.columns})
        found["predictions"][name] = torch.from_numpy(scores["predictions"].astype(np.int16))
        if name == "mlp":
            found["classifier"] = fitted.state_dict()
    return row | {"classifier_seconds": time.thread_time() - start}, found


def _views_of(model, images, count, seed, features):
    """The codes of the images as they are, and a function that gives those of all views: a list, or without end.

    They are without end, each made when it is used, where a list would take too much memory.
    """
    if 4 * count * len(images) * model.latent_dim < MEMORY:
        views = list(encode_views(model, images, count, seed, features))
        return views[0], lambda: views
    first = next(encode_views(model, images, 1, features=features))
    return first, partial(_again_and_again, model, images, count, seed, features)


def _again_and_again(*arguments):
    while True:
        yield from encode_views(*arguments)
