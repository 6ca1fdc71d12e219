"""Images of one's own: brought into the form of the data sets, and classified from their codes alone."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from src.cifar import CLASSES
from src.classifier import predict_logits
from src.data_loader import as_bytes, describe
from src.experiment import Experiment
from src.outcomes import load_autoencoder, load_classifier, load_outcome
from src.train import encode_images

SIDE = 32
DEFAULT_MODEL = Experiment("CIFAR10", "conv", 100)


def prepare_images(images):
    """Images from anywhere as uint8 (N, 32, 32, 3): the largest square in the middle, resized with an antialiasing filter.

    `images` is one image or a list of images, each a PIL image, the path of an image file, or an array (H, W) or
    (H, W, 3), uint8 or float in [0, 1]; or an array of several, (N, H, W, 3). Photographs are turned upright as their EXIF
    data say, transparency is dropped. A ValueError says what else was given.
    """
    several = isinstance(images, (list, tuple)) or (isinstance(images, np.ndarray) and images.ndim == 4)
    pictures = [_picture(image) for image in (images if several else [images])]
    if not pictures:
        raise ValueError("there is no image; at least one is needed")
    squares = [ImageOps.fit(picture, (min(picture.size),) * 2) for picture in pictures]  # cut alone, nothing is resized
    return np.stack([np.asarray(square.resize((SIDE, SIDE), Image.Resampling.LANCZOS)) for square in squares])


def _picture(image):
    if isinstance(image, (str, Path)):
        try:
            with Image.open(image) as file:
                file.load()
                image = file
        except (UnidentifiedImageError, OSError) as error:
            raise ValueError(f"{image} cannot be read as an image ({error})") from error
    if isinstance(image, Image.Image):
        return ImageOps.exif_transpose(image).convert("RGB")
    array = as_bytes(image) if isinstance(image, np.ndarray) else image
    fits = isinstance(array, np.ndarray) and array.dtype == np.uint8 and array.size
    if not fits or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)):
        raise ValueError(
            f"an image must be a PIL image, a path or a uint8 or float array (H, W) or (H, W, 3), not {describe(image)}"
        )
    return Image.fromarray(array).convert("RGB")


def classify(images, model=DEFAULT_MODEL, sample=False):
    """The class of images from their codes alone: a table of probabilities, a row an image, a column a class.

    `images` as `prepare_images` takes them; `model` an Experiment that has been run or the path of its checkpoint. The
    probabilities are the MLP's softmax. Raises ValueError for other images and where there is no checkpoint.
    """
    classes = CLASSES[load_outcome(model, sample)["row"]["dataset"]]
    codes = encode_images(load_autoencoder(model, sample), prepare_images(images))
    logits = predict_logits(load_classifier(model, sample), codes)
    return pd.DataFrame(torch.from_numpy(logits).softmax(1).numpy(), columns=classes)


def what_is_left(originals, rebuilt, tables):
    """What the codes keep of one's own images, in a few sentences.

    `originals` uint8 (N, 32, 32, 3); `rebuilt` and `tables` map a latent size to images in [0, 1] and to probabilities.
    """
    sizes = sorted(rebuilt)
    errors = [np.square(rebuilt[size] - originals / 255).mean((1, 2, 3)) for size in sizes]
    first, last = tables[sizes[0]], tables[sizes[-1]]
    kept = (first.idxmax(axis=1) == last.idxmax(axis=1)).sum()
    surest = last.max(axis=1).idxmax()
    return (
        f"From {sizes[0]} to {sizes[-1]} numbers the mean squared error of these {len(originals)} images falls from "
        f"{errors[0].mean():.4f} to {errors[-1].mean():.4f}; hardest to rebuild is image {errors[-1].argmax() + 1}. The class read "
        f"from {sizes[0]} numbers is that read from {sizes[-1]} for {kept} of them. The reader is surest of image {surest + 1}: "
        f"{last.loc[surest].idxmax()}, with {100 * last.loc[surest].max():.0f} %. Its probabilities are of a closed list of "
        f"{last.shape[1]} classes: it has no way to say that an image shows none of them."
    )
