"""Pretrained models that come with the repository: codes of the full study and the MLP probes on them, a file a data set.

`python -m src.pretrained` makes the files from the checkpoints of the full study. `models/pretrained/README.md` is their model card.
"""

import json
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from src.autoencoder import build_autoencoder
from src.classifier import LatentClassifier
from src.codec import FITTED_TO, Codec, fit_codec
from src.data_loader import CLASSES, class_names, load_dataset
from src.study.checkpoints import DamagedFileError, load_autoencoder, load_checkpoint, load_classifier
from src.study.experiment import Experiment
from src.utils import MODELS_DIR, atomic_path, fingerprint

FOLDER = MODELS_DIR / "pretrained"
AUTOENCODER = "features_50"  # keeps the image and the class: half of its numbers are for pixels
LATENT_DIMS = (10, 20, 50, 100)
CODED_UNDER = ("unit", "mean", "std")


class TrainedModel(NamedTuple):
    """An autoencoder, the MLP probe on its code, the names of the probe's classes, what the study measured, and the Codec."""

    autoencoder: nn.Module
    classifier: nn.Module
    classes: tuple[str, ...]
    row: dict
    codec: Codec | None = None


def load_pretrained(dataset="CIFAR10", latent_dim=100):
    """The TrainedModel that comes with the repository, trained on "CIFAR10" or "CIFAR100", of 10, 20, 50 or 100 numbers.

    Raises ValueError for other data sets and sizes, and DamagedFileError where the file is not as it was written.
    """
    if dataset not in CLASSES or latent_dim not in LATENT_DIMS:
        known = f"{' and '.join(CLASSES)}, of {', '.join(map(str, LATENT_DIMS))} numbers"
        raise ValueError(f"there is no pretrained model of {dataset!r} with {latent_dim!r} numbers, but of {known}")
    latent_dim, path = int(latent_dim), FOLDER / f"{dataset}.safetensors"
    try:
        with safe_open(path, "pt") as file:
            made_by = json.loads(file.metadata()["made_by"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DamagedFileError(f"{path} cannot be read ({error}); get it anew with the repository") from error
    if _checksum(tensors) != made_by["checksum"]:
        raise DamagedFileError(f"{path} is not as it was written; get it anew with the repository")
    row = made_by["rows"][str(latent_dim)]
    autoencoder = build_autoencoder(row["autoencoder"], latent_dim, **made_by["network"])
    classifier = LatentClassifier(latent_dim, len(CLASSES[dataset]))
    for name, model in {"autoencoder": autoencoder, "classifier": classifier}.items():
        parts = {f"{prefix}/{name}/{key}": key for prefix in ("all", latent_dim) for key in model.state_dict()}
        model.load_state_dict({key: tensors[long] for long, key in parts.items() if long in tensors})
    codec = Codec(autoencoder.eval(), *(tensors[f"{latent_dim}/codec/{part}"].numpy() for part in CODED_UNDER))
    return TrainedModel(autoencoder, classifier.eval(), CLASSES[dataset], row, codec)


def load_trained(experiment, folder=""):
    """The TrainedModel of an Experiment that has been run, in the study's `folder`, or of a checkpoint's path."""
    row = load_checkpoint(experiment, folder)["row"]
    autoencoder, classifier = load_autoencoder(experiment, folder), load_classifier(experiment, folder)
    return TrainedModel(autoencoder, classifier, class_names(row["dataset"]), row)


def save_pretrained(dataset):
    """Write the file of a data set from the checkpoints of the full study, numbers as float16; what all sizes share, once."""
    found = {size: load_checkpoint(Experiment(dataset, AUTOENCODER, size)) for size in LATENT_DIMS}
    states = {}
    for size, checkpoint in found.items():
        parts = {"autoencoder": checkpoint["state"], "classifier": checkpoint["classifier"]}
        states[size] = {f"{name}/{key}": value for name, part in parts.items() for key, value in part.items()}
    first = states[LATENT_DIMS[0]]
    shared = {key for key in first if all(torch.equal(first[key], state[key]) for state in states.values())}
    tensors = {f"all/{key}": first[key] for key in shared}
    tensors |= {f"{size}/{key}": state[key] for size, state in states.items() for key in state if key not in shared}
    tensors = {key: (x.half() if x.is_floating_point() else x).contiguous() for key, x in sorted(tensors.items())}
    for size in LATENT_DIMS:
        model = load_autoencoder(Experiment(dataset, AUTOENCODER, size))
        codec = fit_codec(model, load_dataset(dataset).split("train")[0][:FITTED_TO])
        tensors |= {f"{size}/codec/{part}": torch.from_numpy(getattr(codec, part)) for part in CODED_UNDER}
    made_by = dict(found[LATENT_DIMS[0]]["origin"]) | {"checksum": _checksum(tensors)}
    made_by |= {"network": made_by["settings"]["network"], "rows": {size: found[size]["row"] for size in found}}
    with atomic_path(FOLDER / f"{dataset}.safetensors") as path:
        save_file(tensors, path, {"made_by": json.dumps(made_by)})


def _checksum(tensors):
    return fingerprint(*(tensors[key].numpy() for key in sorted(tensors)))


if __name__ == "__main__":
    for name in CLASSES:
        save_pretrained(name)
