"""The study's grid: what an experiment is, how one is run, and how all of them become rows of one table."""

import sys
import time
import warnings
from collections import Counter
from dataclasses import asdict

import joblib
import pandas as pd
from tqdm import tqdm

from src.autoencoder import VariationalAutoencoder
from src.baseline import fine_tune, train_supervised
from src.data_loader import load_dataset
from src.experiment import CODES, Settings
from src.measure import measure_information, measure_reconstruction, read_code
from src.outcomes import COLUMNS, load_outcome, origin, save_outcome, what_is_missing, write_rows
from src.train import train_autoencoder
from src.utils import one_thread, precision, seed_everything

UNABLE_TO_DECODE = ("random", "supervised", "pixels", "spatial_finetuned")  # or of which a reconstruction says nothing


def run_sweep(experiments, n_jobs=-1, sample=False, settings=Settings()):
    """Run those experiments that have not been run with these settings, data and code, `n_jobs` at a time (-1: one a core).

    Returns the table of all of them, a row each, in the order given. Every row is in `results_path(sample)` as soon
    as its experiment ends. With `sample`, everything is on the embedded sample, whose results are kept apart.
    """
    waiting = _waiting(experiments, sample, settings)
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


def _waiting(experiments, sample, settings):
    """The experiments that have to be run; says how many for which reason."""
    origins = {
        name: origin(load_dataset(name, download=False, sample=sample), settings)
        for name in {e.dataset for e in experiments}
    }
    reasons = {e: what_is_missing(e, sample, origins[e.dataset]) for e in experiments}
    for reason, count in Counter(filter(None, reasons.values())).items():
        print(f"{count} of {len(reasons)} experiments to run: {reason}")
    return [e for e, reason in reasons.items() if reason]


def run_experiment(experiment, sample=False, settings=Settings()):
    """Run one experiment on one thread, keep what it leaves in `models/`, and return its row of the table."""
    dataset = load_dataset(experiment.dataset, download=False, sample=sample)
    seed_everything(experiment.seed)
    with one_thread():
        model, row, history, predictions = learn_and_read(experiment, dataset, settings)
    row |= asdict(experiment) | {"is_sample": dataset.is_sample, "precision": precision()}
    row |= {"train_images": len(dataset.split("train")[0])}
    return save_outcome(experiment, sample, origin(dataset, settings), row, history, predictions, model)


def learn_and_read(experiment, dataset, settings):
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
        "classifier_seconds": time.perf_counter() - start_reading - scores.get("conv_reader_seconds", 0),
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
