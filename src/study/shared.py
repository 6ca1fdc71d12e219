"""What codes of features of all sizes share: the features, and the features of all views, learnt once a data set and seed."""

import time
from typing import NamedTuple

import numpy as np
import torch

from src.encode import encode_views
from src.features import SIZE, FeatureAutoencoder, learn_features
from src.source import code_of_modules
from src.study.checkpoints import computed_with, models_folder
from src.utils import get_device, load_safely, one_thread, save_atomically


class SharedFeatures(NamedTuple):
    """The `state` of learnt PatchFeatures, the `seconds` that learning took, and the features of every view of the training images.

    `views` are in the order of `encode_views`, each float32 (N, SIZE).
    """

    state: dict
    seconds: float
    views: list


def are_shared_by(model_class):
    """Whether models of a class have features that other sizes have, too."""
    return issubclass(model_class, FeatureAutoencoder)


def load_shared(dataset, seed, views, folder=""):
    """The SharedFeatures of an ImageDataset, from the study's folder where they are there, else learnt and kept there."""
    path = models_folder(folder) / f"{dataset.name}_shared_features_seed{seed}.pt"
    made_by = {"data": dataset.fingerprint, "code": code_of_modules("src.features", "src.encode")} | computed_with()
    with one_thread():
        learnt = _load_or_make(path, made_by, lambda: _learn(dataset, seed))
        made_by["views"] = views
        path = path.with_name(f"{path.stem}_views.pt")
        found = _load_or_make(path, made_by, lambda: _encode(learnt["state"], dataset, seed, views))
    return SharedFeatures(learnt["state"], learnt["seconds"], list(found["features"].numpy()))


def _load_or_make(path, made_by, make):
    """What is at `path`, where it was made by the same; else what `make()` gives, which is kept there."""
    found = load_safely(path) if path.exists() else None
    if not isinstance(found, dict) or found.get("made_by") != made_by:
        found = make() | {"made_by": made_by}
        save_atomically(found, path)
    return found


def _learn(dataset, seed):
    start = time.perf_counter()
    features = learn_features(dataset.split("train")[0], seed)
    return {"state": features.state_dict(), "seconds": time.perf_counter() - start}


def _encode(state, dataset, seed, views):
    model = FeatureAutoencoder(SIZE)  # whose code are all features
    model.patch_features.load_state_dict(state)
    model.to(get_device())
    features = list(encode_views(model, dataset.split("train")[0], views, seed))
    return {"features": torch.from_numpy(np.stack(features))}
