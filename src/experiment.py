"""The study's grid: what an experiment is, and what all experiments of a study have in common."""

from dataclasses import dataclass
from itertools import product

from src.autoencoder import AUTOENCODERS, PIXELS, check_latent_dim
from src.baseline import BASELINES, SPATIAL_DIM
from src.cifar import CLASSES
from src.classifier import CONVOLUTIONS, MLP, ClassifierConfig
from src.further_codes import FURTHER_CODES
from src.objectives import OBJECTIVES
from src.train import TrainConfig

CODES = AUTOENCODERS | OBJECTIVES | BASELINES | FURTHER_CODES


@dataclass(frozen=True)
class Settings:
    """What all experiments of a study have in common; a change of any of it makes them run again."""

    train: TrainConfig = TrainConfig()
    # of those baselines that start from nothing or learn from labels
    baseline: TrainConfig = TrainConfig(epochs=5, learning_rate=6e-3)
    views: int = 8  # of each training image, for the readers that are networks
    mlp: ClassifierConfig = MLP
    convolutions: ClassifierConfig = CONVOLUTIONS


@dataclass(frozen=True)
class Experiment:
    """One cell of the grid: a data set, an autoencoder or a baseline by name, a latent size and a seed.

    Its result depends on these four, the settings and the data, and on nothing that ran before or beside it.
    """

    dataset: str
    autoencoder: str
    latent_dim: int
    seed: int = 0

    def __post_init__(self):
        for value, known in ((self.dataset, CLASSES), (self.autoencoder, CODES)):
            if value not in known:
                raise ValueError(f"unknown {value!r} in {self}: choose one of {', '.join(known)}")
        if self.autoencoder != "pixels":
            check_latent_dim(self.latent_dim)

    def __str__(self):
        return f"{self.dataset} {self.autoencoder} {self.latent_dim} seed {self.seed}"

    @property
    def has_conv_reader(self):
        """Whether the slowest reader is due: of one seed for most codes, of every seed for the largest conv code."""
        if self.autoencoder == "conv":
            return self.seed == 0 or self.latent_dim == 100
        return self.seed == 0 and (
            self.autoencoder in ("pca", "pixels") or (self.autoencoder, self.latent_dim) == ("vae", 100)
        )


def grid(datasets, autoencoders, latent_dims, seeds=(0,)):
    """Every combination as a list of experiments."""
    return [Experiment(*point) for point in product(datasets, autoencoders, latent_dims, seeds)]


def baselines(datasets, latent_dims, seeds=(0,)):
    """The experiments that give the others a scale: PCA at every latent size, raw pixels, the spatial code."""
    return (
        grid(datasets, ["pca"], latent_dims, seeds)
        + grid(datasets, ["pixels"], [PIXELS], seeds)
        + grid(datasets, ["spatial", "spatial_finetuned"], [SPATIAL_DIM], seeds)
    )


def bounds(datasets, latent_dims, seeds=(0,)):
    """The floor and the ceiling of what can be read at each latent size: an encoder untaught, and taught with labels."""
    return grid(datasets, ["random", "supervised"], latent_dims, seeds)
