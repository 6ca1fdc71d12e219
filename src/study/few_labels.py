"""How much of the class is read from few labelled images: by a linear probe of a code, and by a network trained from scratch."""

import os
import sys
from dataclasses import replace

import joblib
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from tqdm import tqdm

from src.classifier import CNN, ResidualNetwork, train_linear_classifier
from src.encode import encode_images, image_batches, random_view, to_batch
from src.source import code_of_modules
from src.study.checkpoints import computed_with, models_folder
from src.train import LABEL_SMOOTHING, fit
from src.utils import get_device, one_thread, seeded

INVERSE_PENALTY = 0.01  # scikit-learn's C for the linear probe, for codes that do not need more
FROM_SCRATCH = replace(CNN, epochs=20)
COLUMNS = ["code", "per_class", "draw", "accuracy"]
STEPS = 600  # batches, however few the images


def few_labels(dataset, models, counts=(10, 50, 100, 500), draws=5, n_jobs=-1):
    """Test accuracy by number of labelled images, a row a code, count and draw, and the same for a network trained from scratch.

    `models` are trained autoencoders by name; counts that a class does not have are left out. Returns the columns `dataset`, `code`, `per_class`, `draw`, `accuracy`.
    """
    (images, labels), (test, truth) = dataset.split("train"), dataset.split("test")
    counts = [count for count in counts if count <= np.unique(labels, return_counts=True)[1].min()]
    job, jobs = joblib.delayed(_remembered(_measure)), []
    # what another version of the code has found is not taken
    made_by = str(computed_with()), code_of_modules(__name__, "src.classifier", "src.encode", "src.train")
    for name, model in models.items():
        z, z_test = encode_images(model, images), encode_images(model, test)
        how = labels, z, z_test, truth, min(INVERSE_PENALTY, model.inverse_penalty)
        jobs += [job(made_by, name, c, i, *how) for c in counts for i in range(draws)]
    jobs += [job(made_by, "cnn", c, i, labels, images, test, truth) for c in counts for i in range(draws)]
    rows = joblib.Parallel(n_jobs if get_device().type == "cpu" else 1, return_as="generator")(jobs)
    table = pd.DataFrame(tqdm(rows, "few labels", len(jobs), file=sys.stdout), columns=COLUMNS)
    return table.assign(dataset=dataset.name)


def _remembered(function):
    """The function, with results kept in `models/cache`, where that can be written, and taken from there when they are there."""
    folder = models_folder("cache")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_writable = os.access(folder, os.W_OK)
    except OSError:
        is_writable = False
    return joblib.Memory(folder if is_writable else None, verbose=0).cache(function)


def choose(labels, count, seed):
    """Indices of `count` images of each class, drawn at random."""
    draw = np.random.default_rng(seed)
    return np.concatenate([draw.choice(np.flatnonzero(labels == c), count, replace=False) for c in np.unique(labels)])


def _measure(made_by, name, count, draw, labels, inputs, test, truth, *penalty):
    chosen, how = choose(labels, count, draw), _score_network if name == "cnn" else _read_codes
    with one_thread(), seeded(draw):
        accuracy = how(inputs[chosen], labels[chosen], test, truth, *penalty)
    return {"code": name, "per_class": count, "draw": draw, "accuracy": accuracy}


def _read_codes(z, labels, z_test, truth, penalty):
    return train_linear_classifier(z, labels, penalty).score(z_test, truth)


def train_from_scratch(images, labels, steps, config=FROM_SCRATCH, view=random_view):
    """A network from scratch, trained on views of labelled images, uint8 (N, 32, 32, 3), for so many batches."""
    network, device = ResidualNetwork(labels.max() + 1), get_device()

    def batches():
        for indices in torch.randint(len(images), (steps // config.epochs, config.batch_size)).numpy():
            x = view(to_batch(images[indices], device))
            yield x, torch.from_numpy(labels[indices]).to(device)

    def loss(x, y):
        return {"total": F.cross_entropy(network(x).float(), y, label_smoothing=LABEL_SMOOTHING)}

    fit(network, batches, loss, config, steps=steps // config.epochs)
    return network


@torch.no_grad()
def predict_network(network, images):
    """The classes that a network finds in uint8 images (N, 32, 32, 3), int64 (N,)."""
    return torch.cat([network(x).argmax(1) for x in image_batches(network, images)]).cpu().numpy()


def _score_network(images, labels, test, truth):
    network = train_from_scratch(images, labels, STEPS)
    return (predict_network(network, test) == truth).mean()
