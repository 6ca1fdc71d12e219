"""How much of the class is read from few labelled images: by a probe of a code, and by a network trained from scratch.

The settings of a probe are chosen by cross-validation on the labelled images themselves, for each code and draw anew; those of the network
by `run/search.py`, on 5,000 more labelled images.
"""

import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from joblib import Parallel, delayed
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tqdm import tqdm

from src.classifier import CNN, ResidualNetwork
from src.codec import fit_codec
from src.encode import encode_images, image_batches, to_batch
from src.features import strong_view
from src.train import LABEL_SMOOTHING, fit
from src.utils import get_device, one_thread, seeded, whole_number

FROM_SCRATCH = replace(CNN, epochs=20)
STEPS = 1800  # batches of the network from scratch, however few the images
MOST = 5_000  # labelled images in all, of which more are no longer few
FOLDS = 3
SCALINGS = (StandardScaler(), "passthrough")
GRID = [
    {"scaling": SCALINGS, "probe": [SVC(random_state=0)], "probe__C": (1, 10)},
    {"scaling": SCALINGS, "probe": [LogisticRegression(tol=1e-3, max_iter=1000)], "probe__C": (0.01, 0.1)},
]
SCRATCH = "scratch"  # what a network from scratch is called among the codes
COLUMNS = ["code", "per_class", "draw", "accuracy"]


def few_labels(dataset, models, counts=(10, 50, 100, 500), draws=5, n_jobs=-1):
    """Test accuracy by number of labelled images of each class, one row per code, count and draw, and the same for a network from scratch.

    `models` are trained autoencoders by name. Counts that some class does not have, or that add up to more than MOST images, are left
    out; counts below 2 are a ValueError. Returns the columns `dataset`, `code`, `per_class`, `draw`, `accuracy`.
    """
    (images, labels), (test, truth) = dataset.split("train"), dataset.split("test")
    sizes = np.unique(labels, return_counts=True)[1]
    most = min(sizes.min(), MOST // len(sizes))
    counts = [count for count in counts if whole_number(count, "a count", 2) <= most]
    job, jobs = delayed(_measure), []
    for name, model in models.items():
        weights = _weights(model, images[:2_000])
        z, z_test = (encode_images(model, x) * weights for x in (images, test))
        jobs += [job(name, c, i, labels, z, z_test, truth) for c in counts for i in range(draws)]
    jobs += [job(SCRATCH, c, i, labels, images, test, truth) for c in counts for i in range(draws)]
    rows = Parallel(n_jobs if get_device().type == "cpu" else 1, return_as="generator")(jobs)
    table = pd.DataFrame(tqdm(rows, "few labels", len(jobs), file=sys.stdout), columns=COLUMNS)
    return table.assign(dataset=dataset.name)


def _weights(model, images):
    """What each number of a code is multiplied by to have the spread of what it does to the image; codes have a spread of one then."""
    z = encode_images(model, images)
    unit = fit_codec(model, images).unit.astype(np.float32) if model.has_decoder else np.ones(z.shape[1], np.float32)
    return unit / max((z * unit).std(), 1e-6)


def choose(labels, count, seed):
    """Indices of `count` images of each class, drawn at random."""
    draw = np.random.default_rng(seed)
    return np.concatenate([draw.choice(np.flatnonzero(labels == c), count, replace=False) for c in np.unique(labels)])


def _measure(name, count, draw, labels, inputs, test, truth):
    chosen, how = choose(labels, count, draw), _score_network if name == SCRATCH else _score_probe
    with one_thread(), seeded(draw):
        accuracy = how(inputs[chosen], labels[chosen], test, truth)
    return {"code": name, "per_class": count, "draw": draw, "accuracy": accuracy}


def _score_probe(z, labels, z_test, truth):
    return train_best_probe(z, labels).score(z_test, truth)


def train_best_probe(z, labels):
    """A support vector machine or a logistic regression on codes, standardised or not, whichever does best in cross-validation."""
    folds = min(FOLDS, np.unique(labels, return_counts=True)[1].min())
    pipeline = Pipeline([("scaling", "passthrough"), ("probe", SVC())])
    return GridSearchCV(pipeline, GRID, cv=folds).fit(z, labels)


def train_from_scratch(images, labels, steps, config=FROM_SCRATCH, view=strong_view):
    """A network from scratch, trained on views of labelled images, uint8 (N, 32, 32, 3), for so many batches."""
    network, device = ResidualNetwork(labels.max() + 1), get_device()

    def batches():
        for indices in torch.randint(len(images), (steps // config.epochs, config.batch_size)).numpy():
            x = view(to_batch(images[indices], "cpu")).to(device)
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
