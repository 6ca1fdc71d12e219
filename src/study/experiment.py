"""What an experiment is, what all experiments of a study have in common, and the two studies: quick and full."""

from dataclasses import dataclass, field, replace
from itertools import product

from src import baseline, features, objectives  # noqa: F401 (their autoencoders are known by name once they are imported)
from src.autoencoder import AUTOENCODERS
from src.classifier import CNN, MLP
from src.data_loader import CLASSES, class_names
from src.evaluate import PROBES
from src.train import TrainConfig
from src.utils import whole_number

DEFAULT_PROBES = ("linear", "knn", "mlp")


@dataclass(frozen=True)
class Network:
    """The size of the autoencoders' convolutions, as ConvAutoencoder takes it."""

    width: int = 32
    depth: int = 2


@dataclass(frozen=True)
class Settings:
    """What all experiments of a study have in common; a change of any of it makes them run again."""

    network: Network = Network()
    train: TrainConfig = TrainConfig()
    baseline: TrainConfig = TrainConfig(epochs=5, linear_rate=1.0)  # of classes whose `trained_with` is "baseline"
    supervised: TrainConfig = TrainConfig(
        epochs=12, kernel_rate=0.1, learning_rate=1e-2, linear_rate=1.0, weight_decay=0.05
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
        probes = (self.probes,) if isinstance(self.probes, str) else tuple(self.probes)
        class_names(self.dataset)  # raises where it is not known
        for value, known in ((self.autoencoder, AUTOENCODERS), *((p, PROBES) for p in probes)):
            if value not in known:
                raise ValueError(f"unknown {value!r}: choose one of {', '.join(known)}")
        latent_dim = AUTOENCODERS[self.autoencoder].check_latent_dim(self.latent_dim)
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
    probes = (probes,) if isinstance(probes, str) else tuple(probes)
    experiments = []
    for dataset, name in product(datasets, autoencoders):
        sizes = AUTOENCODERS[name].latent_dims if name in AUTOENCODERS else latent_dims
        sizes = sizes if len(sizes) == 1 else latent_dims
        experiments += [Experiment(dataset, name, size, seed, probes) for size, seed in product(sizes, seeds)]
    return experiments


@dataclass(frozen=True)
class Preset:
    """The parts of a study that its size decides."""

    settings: Settings
    baselines: tuple[str, ...]
    features: dict  # by data set, the codes that keep features, from a half of their numbers to all
    few_labels: dict  # how many labelled images a class, and how many draws of them
    conv_probe: tuple[str, ...] = ()  # the codes that the slowest probe, the CNN, is run on
    sizes: dict = field(default_factory=dict)  # by name, for those that are not run at all of them
    probes: dict = field(default_factory=dict)  # by name, for those that all would take too long on
    repeated: dict = field(default_factory=dict)  # by data set and name, the sizes run with three seeds
    larger: dict = field(default_factory=dict)  # by size, the settings of large ones, where channels count for more


PRESETS = {
    "quick": Preset(
        Settings(views=2, mlp=replace(MLP, epochs=6), features=TrainConfig(epochs=1)),
        ("pca", "pixels", "random"),
        {"CIFAR10": ("features",)},
        {"counts": (10, 100), "draws": 1},
        probes={"pixels": ("mlp",)},
    ),
    "full": Preset(
        Settings(Network(width=64, depth=6), TrainConfig(epochs=8), features=TrainConfig(epochs=2)),
        ("pca", "pixels", "random_start", "random", "supervised", "spatial", "spatial_finetuned"),
        dict.fromkeys(CLASSES, ("features_50", "features_70", "features_90", "features")),
        {"counts": (10, 50, 100, 500), "draws": 5},
        conv_probe=("conv", "vae", "pca", "pixels", "features"),
        sizes={"supervised": (10, 100), "random_start": (10, 100)},
        repeated={(name, "conv"): (10, 100) for name in CLASSES}
        | {("CIFAR10", "features"): (10, 20, 50, 100), ("CIFAR100", "features_90"): (10, 20, 50, 100)},
        larger=dict.fromkeys((256, 384), Settings(Network(width=128, depth=2), TrainConfig(epochs=12))),
    ),
}
MORE_SEEDS = (1, 2)


def study(preset, datasets, autoencoders, latent_dims, seeds=None, probes=DEFAULT_PROBES):
    """The experiments of a Preset, without repetitions: all autoencoders for every seed, its baselines for the first.

    Where no seeds are given, it is 0, with two more at the sizes that the preset repeats. Small codes come first,
    and features before others, so that a worker learns what the features of all sizes share once.
    """
    latent_dims, experiments = tuple(latent_dims), []
    probes = (probes,) if isinstance(probes, str) else tuple(probes)
    first, *others = [0] if seeds is None else [*seeds] or [None]  # which is refused by name
    autoencoders = tuple(autoencoders)
    for dataset in datasets:
        of_features = preset.features.get(dataset, ())
        for name in dict.fromkeys([*of_features, *autoencoders, *preset.baselines]):
            sizes = [size for size in latent_dims if size in preset.sizes.get(name, latent_dims)]
            sizes = [size for size in sizes if name not in of_features or size in AUTOENCODERS[name].latent_dims]
            slow = ("conv",) if name in preset.conv_probe and "conv" not in probes else ()
            fast = tuple(probe for probe in probes if probe in preset.probes.get(name, probes))
            experiments += grid([dataset], [name], sizes, [first], fast + slow)
            if len(AUTOENCODERS[name].latent_dims) > 1 and (name in autoencoders or name in of_features):
                repeated = [size for size in sizes if size in preset.repeated.get((dataset, name), ())]
                more = (repeated, MORE_SEEDS) if seeds is None else (sizes, others)
                experiments += grid([dataset], [name], *more, probes)
    return sorted(experiments, key=lambda experiment: experiment.latent_dim)
