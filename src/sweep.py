"""The study's grid: what an experiment is, how one is run, and how all of them become rows of one table."""

import sys
import time
import warnings
from dataclasses import asdict, dataclass
from itertools import product

import joblib
import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from src.autoencoder import AUTOENCODERS, PIXELS, VariationalAutoencoder, check_latent_dim
from src.baseline import BASELINES, SPATIAL_DIM, fine_tune, train_supervised
from src.cifar import CLASSES
from src.classifier import CONVOLUTIONS, MLP, ClassifierConfig
from src.data_loader import load_dataset
from src.measure import measure_information, measure_reconstruction, read_code
from src.objectives import OBJECTIVES
from src.train import TrainConfig, train_autoencoder
from src.utils import MODELS_DIR, REPORTS_DIR, atomic_path, one_thread, seed_everything

COLUMNS = (
    "dataset autoencoder latent_dim seed is_sample train_images epochs parameters val_mse test_mse test_psnr_db "
    "kl_nats bits_per_dim active_units accuracy_linear accuracy_knn accuracy_mlp accuracy_conv top5_mlp macro_f1_mlp "
    "autoencoder_seconds classifier_seconds"
).split()


@dataclass(frozen=True)
class Settings:
    """What all experiments of a study have in common; a change of any of it makes them run again."""

    train: TrainConfig = TrainConfig()
    baseline: TrainConfig = TrainConfig(epochs=5)  # those baselines that start from nothing or learn from labels
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
        """Whether the slowest reader is due: of the conv code at every size, of some others at the largest."""
        largest = self.latent_dim in (100, PIXELS)
        if self.autoencoder == "conv":
            return self.seed == 0 or largest
        return self.autoencoder in ("vae", "pca", "pixels") and self.seed == 0 and largest

    def path(self, sample=False):
        """Where the experiment's checkpoint is kept."""
        folder = MODELS_DIR / "sample" if sample else MODELS_DIR
        return folder / f"{self.dataset}_{self.autoencoder}_d{self.latent_dim}_seed{self.seed}.pt"


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


def run_sweep(experiments, n_jobs=-1, sample=False, settings=Settings()):
    """Run those experiments that have not been run with these settings, `n_jobs` at a time (-1: one a core).

    Returns the table of all of them, a row each, in the order given. Every row is in `results_path(sample)` as soon
    as its experiment ends. With `sample`, everything is on the embedded sample, whose results are kept apart.
    """
    waiting = [e for e in experiments if not is_finished(e, sample, settings)]
    job = joblib.delayed(run_experiment)
    rows = joblib.Parallel(n_jobs, return_as="generator_unordered")(job(e, sample, settings) for e in waiting)
    with warnings.catch_warnings():
        # joblib replaces a worker whose memory has grown, and says so each time; no experiment is lost by it
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given")
        for row in tqdm(rows, "sweep", len(waiting), unit="experiment", disable=not waiting, file=sys.stdout):
            write_rows([row], sample)
    rows = [load_outcome(e, sample)["row"] for e in experiments]
    write_rows(rows, sample)  # for those that had been run before, should the table have been lost
    return pd.DataFrame(rows, columns=COLUMNS)


def run_experiment(experiment, sample=False, settings=Settings()):
    """Run one experiment on one thread, keep what it leaves in `models/`, and return its row of the table."""
    dataset = load_dataset(experiment.dataset, download=False, sample=sample)
    seed_everything(experiment.seed)
    with one_thread():
        model, row, history, predictions = _learn_and_read(experiment, dataset, settings)
    row = asdict(experiment) | row
    row |= {"is_sample": dataset.is_sample, "train_images": len(dataset.split("train")[0])}
    outcome = {
        "settings": asdict(settings),
        "row": {column: _plain(row.get(column)) for column in COLUMNS},
        "history": history,
        "predictions": torch.from_numpy(predictions),
        "state": {key: value.cpu() for key, value in model.state_dict().items()},
    }
    with atomic_path(experiment.path(sample)) as path:
        torch.save(outcome, path)
    return outcome["row"]


def load_outcome(experiment, sample=False):
    """What an experiment left: `row`, `history` (a dict an epoch), test `predictions`, `settings`, model `state`."""
    path = experiment.path(sample)
    if not path.exists():
        raise ValueError(f"{experiment} has not been run: there is no {path.name}; run it with run_sweep")
    return torch.load(path, map_location="cpu", weights_only=True)


def load_autoencoder(experiment, sample=False):
    """The trained autoencoder of an experiment that has been run, ready for use."""
    model = CODES[experiment.autoencoder](experiment.latent_dim)
    model.load_state_dict(load_outcome(experiment, sample)["state"])
    return model.eval()


def is_finished(experiment, sample=False, settings=Settings()):
    """Whether the experiment has been run to its end with these settings."""
    return experiment.path(sample).exists() and (load_outcome(experiment, sample)["settings"] == asdict(settings))


def results_path(sample=False):
    """The table of results; that of the sample is kept apart and never replaces the full study's."""
    return (REPORTS_DIR / "sample" if sample else REPORTS_DIR) / "results.csv"


def read_results(sample=False):
    """The table of results on disk, empty where there is none yet."""
    path = results_path(sample)
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=COLUMNS)


def write_rows(rows, sample=False):
    """Put rows into the table on disk, in place of those of the same experiments, all or nothing."""
    path, key = results_path(sample), list(Experiment.__dataclass_fields__)
    table = pd.DataFrame(rows, columns=COLUMNS)
    table = pd.concat([read_results(sample).astype(object), table.astype(object)])
    table = table.drop_duplicates(key, keep="last").sort_values(key, kind="stable")
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)


def _learn_and_read(experiment, dataset, settings):
    """Learn the code, measure it, read the class from it."""
    start = time.perf_counter()
    model, history = _learn(experiment, dataset, settings)
    learnt = time.perf_counter()
    row = {} if experiment.autoencoder in UNABLE_TO_DECODE else measure_reconstruction(model, dataset)
    if isinstance(model, VariationalAutoencoder):
        row |= measure_information(model, dataset)
    start_reading = time.perf_counter()
    scores, predictions = read_code(model, dataset, settings, experiment.seed, experiment.has_conv_reader)
    row |= scores | {
        "epochs": len(history),
        "parameters": sum(p.numel() for p in model.parameters()),
        "autoencoder_seconds": learnt - start,
        "classifier_seconds": time.perf_counter() - start_reading,
    }
    return model, row, history, predictions


def _learn(experiment, dataset, settings):
    """The trained model of an experiment and its history."""
    name, seed = experiment.autoencoder, experiment.seed
    if name == "supervised":
        return train_supervised(experiment.latent_dim, dataset, settings.baseline, seed), []
    model = CODES[name](experiment.latent_dim)
    config = settings.baseline if name.startswith("spatial") else settings.train
    history = train_autoencoder(model, dataset, config, seed, progress=False)
    if name == "spatial_finetuned":
        model = fine_tune(model, dataset, config, seed).autoencoder
    return model, history


CODES = AUTOENCODERS | OBJECTIVES | BASELINES
UNABLE_TO_DECODE = ("random", "supervised", "pixels", "spatial_finetuned")  # or of which a reconstruction says nothing


def _plain(value):
    """NumPy scalars as Python's, which a checkpoint that holds no code may contain."""
    return value.item() if isinstance(value, np.generic) else value
