"""Which test images every probe has right, kept beside the table of results, so that codes are compared image by image."""

import numpy as np
import pandas as pd

from src.study.checkpoints import load_checkpoint, results_path
from src.utils import atomic_path


def answers_path(folder=""):
    """Where the answers of a study are kept."""
    return results_path(folder).with_name("answers.npz")


def collect_answers(experiments, datasets, folder=""):
    """Of experiments that have been run, whether each probe has each test image right: bool (M,).

    By (data set, autoencoder, latent size, seed, probe); `datasets` are ImageDatasets by name.
    """
    answers = {}
    for e in experiments:
        predictions = load_checkpoint(e, folder)["predictions"]
        for probe, predicted in predictions.items():
            key = e.dataset, e.autoencoder, e.latent_dim, e.seed, probe
            answers[key] = predicted.numpy() == datasets[e.dataset].y_test
    return answers


def save_answers(answers, folder=""):
    """Keep answers as `reports/FOLDER/answers.npz`, one bit per image, all or nothing."""
    packed = {" ".join(map(str, [*key, len(x)])): np.packbits(x) for key, x in answers.items()}
    with atomic_path(answers_path(folder)) as path:
        np.savez_compressed(path, **packed)


def read_answers(folder=""):
    """What `save_answers` has kept."""
    answers = {}
    with np.load(answers_path(folder), allow_pickle=False) as file:
        for name in file:
            dataset, autoencoder, size, seed, probe, count = name.split()
            key = dataset, autoencoder, int(size), int(seed), probe
            answers[key] = np.unpackbits(file[name], count=int(count)).astype(bool)
    return answers


def paired_difference(answers, dataset, latent_dim, first, second, probe="mlp", other_probe=None):
    """How many points of accuracy a code is above another on the same test images, and the standard error of that, from `answers`.

    `first` and `second` are autoencoders by name; `probe` reads both, unless `other_probe` reads the second. Each image counts
    with the mean over seeds. Raises ValueError where one of the two was not run.
    """
    pair = ((first, probe), (second, other_probe or probe))
    shares = [_share_of_seeds(answers, dataset, latent_dim, *code) for code in pair]
    points = 100 * (shares[0] - shares[1])
    return points.mean(), points.std(ddof=1) / np.sqrt(len(points))


def paired_differences(answers, dataset, latent_dims, first, second, probe):
    """A frame of `paired_difference`, its `points` and their standard `error`, by latent size, where both codes were run."""
    found = {}
    for size in latent_dims:
        try:
            found[size] = paired_difference(answers, dataset, size, first, second, probe)
        except ValueError:
            continue
    return pd.DataFrame.from_dict(found, orient="index", columns=["points", "error"])


def _share_of_seeds(answers, dataset, latent_dim, autoencoder, probe):
    """Of each test image, in what share of seeds a probe has it right, float (M,)."""
    wanted = dataset, autoencoder, latent_dim, probe
    found = [x for (*code, _, name), x in answers.items() if (*code, name) == wanted]
    if not found:
        raise ValueError(f"the {probe} probe was not run on {dataset} {autoencoder} d={latent_dim}")
    return np.mean(found, axis=0)
