"""What an experiment is, what all experiments of a study have in common, and the two studies: quick and full."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

from src.baseline import MODELS, model_class
from src.classifier import CNN, MLP
from src.data_loader import class_names
from src.evaluate import PROBES
from src.train import TrainConfig
from src.utils import whole_number

DEFAULT_PROBES = ("linear", "knn", "mlp")
FEATURES = (
    "features",
    "self_supervised",
    "both",
    "both_50",
)  # whose codes are features, all or a part of their numbers


@dataclass(frozen=True)
class Network:
    """The size of the autoencoders' convolutions, as ConvAutoencoder takes it."""

    width: int = 32
    depth: int = 2

    def __post_init__(self):
        for name in ("width", "depth"):
            object.__setattr__(self, name, whole_number(getattr(self, name), name, 1))


@dataclass(frozen=True)
class Settings:
    """What all experiments of a study have in common; a change of any of it makes them run again."""

    network: Network = Network()
    train: TrainConfig = TrainConfig()
    random_start: TrainConfig = TrainConfig(linear_rate=1.0, kernel_rate=0.06)
    baseline: TrainConfig = TrainConfig(epochs=5, linear_rate=1.0)  # of classes whose `trained_with` is "baseline"
    supervised: TrainConfig = TrainConfig(
        epochs=8, batch_size=500, kernel_rate=0.1, learning_rate=1e-2, linear_rate=1.0, weight_decay=0.05
    )
    features: TrainConfig = TrainConfig(epochs=3)
    views: int = 8  # of each training image, for the probes that are networks
    mlp: TrainConfig = MLP
    cnn: TrainConfig = CNN

    def __post_init__(self):
        object.__setattr__(self, "views", whole_number(self.views, "views", 1))


@dataclass(frozen=True)
class Experiment:
    """One cell of the grid: a data set, an autoencoder or a baseline by name, a latent size, a seed, and the probes to run.

    Its result depends on these, the settings, the data and the code, and on nothing that ran before or beside it.
    """

    dataset: str
    autoencoder: str
    latent_dim: int
    seed: int = 0
    probes: tuple[str, ...] = DEFAULT_PROBES

    def __post_init__(self):
        probes = _names(self.probes)
        class_names(self.dataset)  # raises where it is not known
        for value, known in ((self.autoencoder, MODELS), *((probe, PROBES) for probe in probes)):
            if value not in known:
                raise ValueError(f"unknown {value!r}: choose one of {', '.join(known)}")
        latent_dim = model_class(self.autoencoder).check_latent_dim(self.latent_dim)
        checked = {"latent_dim": latent_dim, "seed": whole_number(self.seed, "seed", 0, 2**32 - 1), "probes": probes}
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def __str__(self):
        return f"{self.dataset} {self.autoencoder} d={self.latent_dim} seed {self.seed}"

    @property
    def key(self):
        """What tells its row of the table from all others."""
        return {name: getattr(self, name) for name in KEY}


KEY = ["dataset", "autoencoder", "latent_dim", "seed"]


def grid(datasets, autoencoders, latent_dims, seeds=(0,), probes=DEFAULT_PROBES):
    """Every combination as a list of experiments; an autoencoder whose code has one size only is taken at that size."""
    latent_dims, seeds = tuple(latent_dims), tuple(seeds)
    probes, experiments = _names(probes), []
    for dataset, name in product(datasets, autoencoders):
        sizes = model_class(name).latent_dims if name in MODELS else latent_dims
        sizes = sizes if len(sizes) == 1 else latent_dims
        experiments += [Experiment(dataset, name, size, seed, probes) for size, seed in product(sizes, seeds)]
    return experiments


def merge(experiments):
    """The experiments with one where several differ in their probes alone; it has the probes of all."""
    probes = {}
    for experiment in experiments:
        probes.setdefault(replace(experiment, probes=()), {}).update(dict.fromkeys(experiment.probes))
    return [replace(experiment, probes=tuple(names)) for experiment, names in probes.items()]


def quick(datasets, families, latent_dims, seeds=None, probes=DEFAULT_PROBES):
    """The experiments of the quick study: `families`, autoencoders by name, and few baselines."""
    datasets, sizes, seeds, probes = tuple(datasets), tuple(latent_dims), _seeds(seeds), _names(probes)
    first, to_100 = seeds[:1], [size for size in sizes if size <= 100]
    return merge(
        grid([name for name in datasets if name == "CIFAR10"], ["features"], to_100, seeds, probes)
        + grid(datasets, families, sizes, seeds, probes)
        + grid(datasets, ["pca", "random"], sizes, first, probes)
        + grid(datasets, ["pixels"], sizes, first, [probe for probe in probes if probe == "mlp"])
    )


def full(datasets, families, latent_dims, seeds=None, probes=DEFAULT_PROBES):
    """The experiments of the full study, a sum of grids; `families` and codes of features have all `seeds`, the others the first.

    Every family and PCA at every size; codes of features at every size of CIFAR-10, and at 100 numbers of the others. The CNN probe on conv
    and PCA of CIFAR-10 at every size, and on both of all data sets and features of CIFAR-10 at 100 numbers. What gives a scale, on CIFAR-10
    alone: pixels by the two networks, and codes of 100 numbers, supervised, from a random start and random, beside the prior work's.
    """
    datasets, sizes, families, probes = tuple(datasets), tuple(latent_dims), tuple(families), _names(probes)
    seeds = _seeds(seeds)
    first, to_100 = seeds[:1], [size for size in sizes if size <= 100]
    longest = [size for size in sizes if size == 100]
    cifar10 = [name for name in datasets if name == "CIFAR10"]
    conv = [name for name in families if name == "conv"]
    return merge(
        grid(cifar10, FEATURES, to_100, seeds, probes)
        + grid(datasets, FEATURES, longest, seeds, probes)
        + grid(datasets, families, sizes, seeds, probes)
        + grid(datasets, ["pca"], sizes, first, probes)
        + grid(datasets, [*conv, "pca"], longest, first, ["cnn"])
        + grid(cifar10, [*conv, "pca"], sizes, first, ["cnn"])
        + grid(cifar10, FEATURES, longest, first, ["cnn"])
        + grid(cifar10, ["pixels"], sizes, first, [*(probe for probe in probes if probe == "mlp"), "cnn"])
        + grid(cifar10, ["supervised", "random_start", "random", "spatial"], longest, first, probes)
    )


def _names(probes):
    return (probes,) if isinstance(probes, str) else tuple(probes)


def _seeds(seeds):
    seeds = (0,) if seeds is None else tuple(seeds)
    if not seeds:
        raise ValueError("seeds is empty; give one at least, or None for those of the study")
    return seeds


class Preset(NamedTuple):
    """A study: its settings, the function that lists its experiments, and the arguments of `few_labels`."""

    settings: Settings
    experiments: Callable
    few_labels: dict


PRESETS = {
    "quick": Preset(
        Settings(views=2, mlp=replace(MLP, epochs=6), features=TrainConfig(epochs=1)),
        quick,
        {"counts": (10, 100), "draws": 1},
    ),
    "full": Preset(
        Settings(
            Network(width=64, depth=6),
            TrainConfig(epochs=8),
            random_start=TrainConfig(epochs=8, linear_rate=1.0),
            features=TrainConfig(epochs=4),
        ),
        full,
        {"counts": (10, 50, 100, 500), "draws": 3},
    ),
}
