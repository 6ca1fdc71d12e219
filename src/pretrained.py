"""Pretrained models that come with the repository, and the class of an image, read from its latent code alone.

They are codes of the full study and the MLP probes on them, a file for each data set and autoencoder. `run/pack_pretrained.py` makes the files,
and `models/pretrained/README.md` is their model card. Nothing here needs the study.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from src.autoencoder import build_autoencoder
from src.classifier import LatentClassifier, predict_logits
from src.codec import Codec
from src.data_loader import CLASSES
from src.encode import encode_images
from src.images import prepare_images
from src.utils import MODELS_DIR, DamagedFileError, fingerprint

FOLDER = MODELS_DIR / "pretrained"
BOTH = "both_50"  # features and pixels share its numbers
SIZES = {  # the latent sizes that come with the repository, by data set and autoencoder
    ("CIFAR10", BOTH): (10, 20, 50, 100),
    ("CIFAR10", "conv"): (10, 20, 50, 100),
    ("CIFAR10", "pca"): (10, 20, 50, 100),
    ("CIFAR100", BOTH): (100,),
}
CODED_UNDER = ("unit", "mean", "std")


class TrainedModel(NamedTuple):
    """An autoencoder, the MLP probe on its code, the names of the probe's classes, what the study measured, and the Codec."""

    autoencoder: nn.Module
    classifier: nn.Module
    classes: tuple[str, ...]
    row: dict
    codec: Codec | None = None

    def __repr__(self):
        what = f"{self.row['autoencoder']} of {self.row['latent_dim']} numbers, trained on {self.row['dataset']}"
        measured = (
            f"MSE {1000 * self.row['test_mse']:.1f} thousandths, MLP probe {100 * self.row['accuracy_mlp']:.1f} %"
        )
        return f"TrainedModel({what}; on test images {measured})"


def classify(images, model=None):
    """Class probabilities of images, from their latent codes alone: a table of one row per image and one column per class.

    Rows are named by file where an image is one, and numbered elsewhere.

    `images` as `prepare_images` takes them. `model` is a TrainedModel, as `load_pretrained` gives it and, of an experiment that
    has been run, `load_trained` of src.study.checkpoints; or the path of a pretrained .safetensors file, of which the largest
    size is taken, 100 numbers; or None, what `load_pretrained()` gives. The probabilities, in [0, 1], are the
    softmax of the MLP probe. Raises ValueError for other images and models, DamagedFileError for a file that is not as written.
    """
    model, names = _as_trained_model(model), _names_of(images)
    z = encode_images(model.autoencoder, prepare_images(images))
    probabilities = torch.from_numpy(predict_logits(model.classifier, z)).softmax(1)
    return pd.DataFrame(probabilities.numpy(), names, model.classes)


def _names_of(images):
    """The names of files, and the numbers of other images, in their order; None where they are all numbers."""
    images = images if isinstance(images, (list, tuple)) else [images]
    names = [Path(image).name if isinstance(image, (str, Path)) else i for i, image in enumerate(images)]
    return names if any(isinstance(name, str) for name in names) else None


def load_pretrained(dataset="CIFAR10", latent_dim=100, autoencoder=BOTH):
    """The TrainedModel that comes with the repository, by data set, size of the code and autoencoder; SIZES has all there are.

    "both_50" keeps the image and the class, "conv" and "pca" the image. Raises ValueError for others, and DamagedFileError where the file is not
    as it was written.
    """
    if latent_dim not in SIZES.get((dataset, autoencoder), ()):
        known = "; ".join(
            f"{name} of {kept} with {', '.join(map(str, d))} numbers" for (kept, name), d in SIZES.items()
        )
        asked = f"{autoencoder} of {dataset} with {latent_dim!r} numbers"
        raise ValueError(f"there is no pretrained {asked}, but {known}")
    path = file_of(dataset, autoencoder, FOLDER)
    model = _load_file(path, int(latent_dim))
    if (model.row["dataset"], model.row["autoencoder"]) != (dataset, autoencoder):
        raise DamagedFileError(f"{path} holds other models; get it anew with the repository")
    return model


def file_of(dataset, autoencoder, folder):
    """Where the pretrained models of an autoencoder are kept in a folder."""
    return folder / f"{dataset}_{autoencoder}.safetensors"


def checksum(made_by, tensors):
    """A checksum of what a file says of itself, a dict, but for its own checksum, and of its tensors by name: 16 hexadecimal digits."""
    text = json.dumps({key: value for key, value in made_by.items() if key != "checksum"}, sort_keys=True)
    return fingerprint(np.frombuffer(text.encode(), np.uint8), *(tensors[key].numpy() for key in sorted(tensors)))


def _as_trained_model(model):
    """The TrainedModel that `classify` was given, in whatever form; else a ValueError."""
    if model is None:
        return load_pretrained()
    if isinstance(model, TrainedModel):
        return model
    if isinstance(model, (str, Path)) and Path(model).suffix == ".safetensors":
        return _load_file(Path(model).expanduser())
    what = repr(str(model)) if isinstance(model, (str, Path)) else type(model).__name__
    takes = "a TrainedModel, the path of a pretrained .safetensors file, or None for the default"
    how = "load_pretrained gives one, and load_trained of src.study.checkpoints that of an experiment"
    raise ValueError(f"model must be {takes}, not {what}; {how}")


def _load_file(path, latent_dim=None):
    """The TrainedModel of a pretrained file with codes of `latent_dim` numbers, or of as many as there are, ready for use."""
    made_by, tensors = _read(path)
    latent_dim = latent_dim or max(map(int, made_by["rows"]))
    row = made_by["rows"][str(latent_dim)]
    classes = CLASSES[row["dataset"]]
    autoencoder = build_autoencoder(row["autoencoder"], latent_dim, **made_by["network"])
    classifier = LatentClassifier(latent_dim, len(classes))
    for name, model in {"autoencoder": autoencoder, "classifier": classifier}.items():
        model.load_state_dict(_state_of(name, latent_dim, tensors))
    coded_under = (tensors[f"{latent_dim}/codec/{part}"].numpy() for part in CODED_UNDER)
    codec = Codec(autoencoder.eval(), *coded_under)
    return TrainedModel(autoencoder, classifier.eval(), classes, row, codec)


def _read(path):
    """What a pretrained file says of itself, and its tensors by name; DamagedFileError where it is not as it was written."""
    try:
        with safe_open(path, "pt") as file:
            made_by = json.loads(file.metadata()["made_by"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}
            is_whole = checksum(made_by, tensors) == made_by["checksum"]
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DamagedFileError(f"{path} cannot be read ({error}); get it anew with the repository") from error
    if not is_whole:
        raise DamagedFileError(f"{path} is not as it was written; get it anew with the repository")
    return made_by, tensors


def _state_of(name, latent_dim, tensors):
    """The state of the "autoencoder" or the "classifier" of a size: its own tensors, and those that all sizes share."""
    prefixes = f"all/{name}/", f"{latent_dim}/{name}/"
    return {key.removeprefix(prefix): x for prefix in prefixes for key, x in tensors.items() if key.startswith(prefix)}
