"""What codes of features of all sizes share: features of a kind, and those of all views, learnt once for each data set and seed."""

from typing import NamedTuple

import numpy as np
import torch

from src.autoencoder import build_autoencoder
from src.baseline import model_class
from src.encode import encode_views
from src.features import SIZE, FeatureAutoencoder, learn_features
from src.source import code_of_modules
from src.study.checkpoints import computed_with, discard_if_damaged, models_folder, training_path
from src.utils import get_device, load_safely, one_thread, save_atomically

CODE = tuple(f"src.{name}" for name in "features self_supervised encode train classifier utils study.shared".split())


class SharedFeatures(NamedTuple):
    """The `state` of learnt Features, the `seconds` that learning took, and the features of every view of the training images.

    `views` are those of `encode_views`, each float32 (N, SIZE).
    """

    state: dict
    seconds: float
    views: list


def kinds_of(autoencoder, latent_dim):
    """The kinds of features that an autoencoder, by its name, shares with its other sizes, and with other autoencoders."""
    if not issubclass(model_class(autoencoder), FeatureAutoencoder):
        return ()
    return tuple(build_autoencoder(autoencoder, latent_dim).counts)


def load_shared(dataset, kind, seed, views, folder=""):
    """The SharedFeatures of an ImageDataset, of a kind in KINDS, from the study's folder where they are there, else learnt and kept there."""
    path = models_folder(folder) / f"{dataset.name}_shared_{kind}_seed{seed}.pt"
    made_by = {"data": dataset.fingerprint, "code": code_of_modules(*CODE)} | computed_with()
    training = training_path(path, made_by)
    discard_if_damaged(training)
    with one_thread():
        learnt = _load_or_make(path, made_by, lambda: _learn(dataset, kind, seed, training))
        training.unlink(missing_ok=True)
        views_path, of_views = path.with_name(f"{path.stem}_views.pt"), made_by | {"views": views}
        found = _load_or_make(views_path, of_views, lambda: _encode(learnt["features"], dataset, kind, seed, views))
    return SharedFeatures(learnt["features"], learnt["seconds"], list(found["views"].numpy()))


def _load_or_make(path, made_by, make):
    """What is at `path`, where it was made by the same; else what `make()` gives, which is kept there."""
    found = load_safely(path) if path.exists() else None
    if not isinstance(found, dict) or found.get("made_by") != made_by:
        found = make() | {"made_by": made_by}
        save_atomically(found, path)
    return found


def _learn(dataset, kind, seed, training):
    features = learn_features(kind, dataset.split("train")[0], seed, training)
    return {"features": features.state_dict(), "seconds": features.seconds}


def _encode(state, dataset, kind, seed, views):
    model = FeatureAutoencoder(SIZE, of_network=float(kind == "network_features"))  # whose code are all features
    model.get_submodule(kind).load_state_dict(state)
    model.to(get_device())
    found = list(encode_views(model, dataset.split("train")[0], views, seed))
    return {"views": torch.from_numpy(np.stack(found))}
