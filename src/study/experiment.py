"""What an experiment is, what all experiments of a study have in common, and the two studies: quick and full."""

from dataclasses import dataclass
from itertools import product

from src import baseline, objectives  # noqa: F401 (their autoencoders are known by name once they are imported)
from src.autoencoder import AUTOENCODERS
from src.classifier import CNN, MLP
from src.data_loader import CLASSES
from src.evaluate import PROBES
from src.train import TrainConfig
from src.utils import whole_number

DEFAULT_PROBES = ("linear", "knn", "mlp")


@dataclass(frozen=True)
class Settings:
    """What all experiments of a study have in common; a change of any of it makes them run again."""

    train: TrainConfig = TrainConfig()
    baseline: TrainConfig = TrainConfig(epochs=5, learning_rate=6e-3, linear_rate=1.0)  # of those that say so
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
        for value, known in ((self.dataset, CLASSES), (self.autoencoder, AUTOENCODERS), *((p, PROBES) for p in probes)):
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

    seeds: tuple[int, ...]  # of the autoencoders; the baselines are run with the first
    baselines: tuple[str, ...]
    conv_probe: tuple[str, ...]  # the codes that the slowest probe, the CNN, is run on, with the first seed
    settings: Settings


BASELINES = ("pca", "pixels", "random", "supervised", "spatial", "spatial_finetuned")
PRESETS = {
    "quick": Preset((0,), ("pca", "pixels", "random"), (), Settings(views=6)),
    "full": Preset((0, 1, 2), BASELINES, ("conv", "pca", "pixels"), Settings()),
}


def study(preset, datasets, autoencoders, latent_dims, seeds=None, probes=DEFAULT_PROBES):
    """The experiments of a Preset: the autoencoders for every seed, its baselines for the first, without repetitions."""
    seeds, experiments = tuple(preset.seeds if seeds is None else seeds), []
    datasets, autoencoders, latent_dims, probes = (tuple(x) for x in (datasets, autoencoders, latent_dims, probes))
    for name in dict.fromkeys([*autoencoders, *preset.baselines]):
        all_probes = (*probes, *(("conv",) if name in preset.conv_probe and "conv" not in probes else ()))
        experiments += grid(datasets, [name], latent_dims, seeds[:1], all_probes)
        if name in autoencoders:
            experiments += grid(datasets, [name], latent_dims, seeds[1:], probes)
    return experiments
