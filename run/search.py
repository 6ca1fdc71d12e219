"""What is tried before a setting is chosen: each search scores settings on validation images, into `reports/search.csv`.

    python run/search.py SEARCH DATASET      a search by its name in SEARCHES; settings that have a row are passed over

Codes are those of the full study, with 100 numbers, trained where they are not there yet. Accuracies rest on the 5,000 validation
images of a data set and on one seed; a search over several options takes them one after the other, each from the best so far.
"""

import sys
import time
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that `src` is found without an installation

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from torch.nn import Module

from src.autoencoder import build_autoencoder
from src.classifier import CNN, MLP, evaluate_classifier, inverse_square, train_classifier, train_decoder_classifier
from src.data_loader import load_dataset
from src.encode import encode_images, encode_views, random_view
from src.evaluate import measure_reconstruction
from src.features import strong_view
from src.study.checkpoints import load_autoencoder
from src.study.experiment import PRESETS, grid
from src.study.few_labels import FROM_SCRATCH, choose, predict_network, train_from_scratch
from src.study.sweep import run_sweep
from src.train import TrainConfig, train_autoencoder
from src.utils import REPORTS_DIR, atomic_path, one_thread, seeded

PATH = REPORTS_DIR / "search.csv"
KEY = ["dataset", "what", "setting", "latent_dim", "autoencoder"]
CODES = ["conv", "pca", "features", "both"]
SIZE = 100  # of the codes that probes are searched on
SETTINGS = PRESETS["full"].settings
VIEWS = {"shift 2": random_view, "shift 4": lambda x: random_view(x, shift=4), "shift 4, colours": strong_view}


def record(key, measure):
    """The row of a setting, a dict by column: from the table where it is there, else from `measure()`, added to the table."""
    table = pd.read_csv(PATH, dtype=dict.fromkeys(KEY, str), keep_default_na=False)
    found = table[(table[KEY] == [str(key[name]) for name in KEY]).all(axis=1)]
    if len(found):
        scores = found.iloc[-1][["val_mse", "val_accuracy"]]
        return {name: float(score) for name, score in scores.items() if score != ""}
    start = time.perf_counter()
    row = key | measure()
    row["seconds"] = round(time.perf_counter() - start, 1)
    with atomic_path(PATH) as temporary:
        pd.concat([table, pd.DataFrame([row])]).to_csv(temporary, index=False)
    print(row, flush=True)
    return row


def as_text(value):
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def search(key, options, measure, column="val_accuracy", best=max):
    """Try each option in turn, the first value of the others until they are tried; `measure(**setting)` gives the scores."""
    chosen = {name: values[0] for name, values in options.items()}
    for name, values in options.items():
        rows = {}
        for value in values:
            setting = chosen | {name: value}
            text = ", ".join(f"{option} {as_text(value)}" for option, value in setting.items())
            rows[value] = record(key | {"setting": text}, lambda setting=setting: measure(**setting))
        chosen[name] = best(rows, key=lambda value: rows[value][column])


@cache
def trained(dataset, name, size):
    """An autoencoder of the full study by name and size, trained where it is not there yet."""
    (experiment,) = grid([dataset], [name], [size], probes=[])
    run_sweep([experiment], 1, settings=SETTINGS)
    return load_autoencoder(experiment)


class Code(NamedTuple):
    """A kind of code: the name and the size of its autoencoder, and the codes of the training and of the validation images."""

    name: str
    size: int
    model: Module
    train: np.ndarray
    validation: np.ndarray


def codes_of(dataset):
    """The codes of CODES, and the pixels."""
    parts = [dataset.split(part)[0] for part in ("train", "validation")]
    for name, size in [*product(CODES, [SIZE]), ("pixels", 3072)]:
        model = trained(dataset.name, name, size)
        yield Code(name, size, model, *(encode_images(model, images) for images in parts))


def key_of(dataset, what, code=None):
    name, size = (code.name, code.size) if code else ("none", "")
    return {"dataset": dataset.name, "what": what, "latent_dim": size, "autoencoder": name}


def search_probes(dataset):
    """The linear, the kNN and the MLP probe on every kind of code, each with the same settings."""
    for code in codes_of(dataset):
        search_linear(dataset, code)
        search_neighbours(dataset, code)
        search_mlp(dataset, code)


def search_linear(dataset, code):
    def linear(penalty):
        logistic = LogisticRegression(C=penalty, tol=1e-3, max_iter=1000)
        return score(make_pipeline(StandardScaler(), logistic), dataset, code)

    search(key_of(dataset, "linear probe", code), {"penalty": (1, 0.1, 0.01, 0.001)}, linear)


def search_neighbours(dataset, code):
    def neighbours(count, weights, whitened):
        votes = KNeighborsClassifier(count, weights=inverse_square if weights == "angle" else weights)
        scaling = [StandardScaler()] if whitened else []
        return score(make_pipeline(*scaling, Normalizer(), votes), dataset, code)

    options = {"count": (40, 10, 20, 100), "weights": ("angle", "uniform"), "whitened": (True, False)}
    search(key_of(dataset, "kNN probe", code), options, neighbours)


def search_mlp(dataset, code):
    (images, labels), (_, truth) = dataset.split("train"), dataset.split("validation")
    views = list(encode_views(code.model, images, 8 if code.size < 3072 else 2))

    def mlp(learning_rate, weight_decay, epochs):
        config = replace(MLP, learning_rate=learning_rate, weight_decay=weight_decay, epochs=epochs)
        probe = train_classifier(views, labels, len(dataset.classes), config)
        return {"val_accuracy": evaluate_classifier(probe, code.validation, truth)["accuracy"]}

    options = {"learning_rate": (0.03, 0.01, 0.1), "weight_decay": (0.02, 0.1, 0.5), "epochs": (14, 28, 42)}
    search(key_of(dataset, "MLP probe", code), options, mlp)


def score(estimator, dataset, code):
    """The validation accuracy of a classifier of scikit-learn that is trained on the codes of the training images."""
    labels, truth = dataset.split("train")[1], dataset.split("validation")[1]
    return {"val_accuracy": estimator.fit(code.train, labels).score(code.validation, truth)}


def search_cnn(dataset):
    """The CNN probe on every code that has a decoder."""
    for code in codes_of(dataset):
        if code.model.has_decoder:
            search_cnn_on(dataset, code)


def search_cnn_on(dataset, code):
    (images, labels), (_, truth) = dataset.split("train"), dataset.split("validation")

    def cnn(epochs, kernel_rate):
        config = replace(CNN, epochs=epochs, kernel_rate=kernel_rate)
        views = encode_views(code.model, images, epochs)
        probe = train_decoder_classifier(code.model, views, labels, len(dataset.classes), config)
        return {"val_accuracy": evaluate_classifier(probe, code.validation, truth)["accuracy"]}

    search(key_of(dataset, "CNN probe", code), {"epochs": (6, 12, 30), "kernel_rate": (0.1, 0.05)}, cnn)


def counts_of(dataset):
    """The numbers of labelled images of a class that the training split has of every class."""
    return [count for count in (10, 50, 100, 500) if count <= np.bincount(dataset.split("train")[1]).min()]


def search_scratch(dataset):
    """The network that is trained from scratch on few labels, for each number of labelled images of a class."""
    for count in counts_of(dataset):
        search_scratch_on(dataset, count)


def search_scratch_on(dataset, count):
    (images, labels), (validation, truth) = dataset.split("train"), dataset.split("validation")
    chosen = choose(labels, count, 0)

    def network(views, steps, kernel_rate):
        config = replace(FROM_SCRATCH, kernel_rate=kernel_rate)
        with seeded(0):
            model = train_from_scratch(images[chosen], labels[chosen], steps, config, VIEWS[views])
        return {"val_accuracy": (predict_network(model, validation) == truth).mean()}

    options = {"views": tuple(VIEWS), "steps": (600, 1800, 3600), "kernel_rate": (0.1, 0.03)}
    search(key_of(dataset, f"few labels, network from scratch, {count} a class"), options, network)


def search_supervised(dataset):
    """The encoder that is trained with labels, by the accuracy of a linear softmax classifier on its code."""
    (images, labels), (validation, truth) = dataset.split("train"), dataset.split("validation")

    def supervised(epochs, kernel_rate):
        model = build_autoencoder("supervised", SIZE)
        train_autoencoder(model, dataset, replace(SETTINGS.supervised, epochs=epochs, kernel_rate=kernel_rate))
        logistic = LogisticRegression(tol=1e-3).fit(encode_images(model, images), labels)
        return {"val_accuracy": logistic.score(encode_images(model, validation), truth)}

    key = key_of(dataset, "supervised encoder") | {"latent_dim": SIZE, "autoencoder": "itself"}
    search(key, {"epochs": (8, 16), "kernel_rate": (0.1, 0.05)}, supervised)


def search_random_start(dataset):
    """The rates of the convolutional autoencoder from its start at PCA and from a random one, quick network, two epochs."""
    for name, size in product(("conv", "random_start"), (10, 100)):
        search_start(dataset, name, size)


def search_start(dataset, name, size):
    def error(linear_rate, kernel_rate, learning_rate):
        config = TrainConfig(kernel_rate=kernel_rate, linear_rate=linear_rate, learning_rate=learning_rate)
        model = build_autoencoder(name, size)
        train_autoencoder(model, dataset, config, progress=False)
        return {"val_mse": measure_reconstruction(model, dataset)["val_mse"]}

    key = {"dataset": dataset.name, "what": "start of the autoencoder", "latent_dim": size, "autoencoder": name}
    options = {"linear_rate": (1 / 30, 0.1, 0.3, 1), "kernel_rate": (0.02, 0.06), "learning_rate": (6e-3, 2e-3)}
    search(key, options, error, "val_mse", min)


SEARCHES = {
    "probes": search_probes,
    "cnn": search_cnn,
    "scratch": search_scratch,
    "random_start": search_random_start,
    "supervised": search_supervised,
}

if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in SEARCHES:
        sys.exit(f"python run/search.py {'|'.join(SEARCHES)} DATASET")
    with one_thread():
        SEARCHES[sys.argv[1]](load_dataset(sys.argv[2]))
