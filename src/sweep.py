"""How one experiment is run, and how many are: side by side, each a row of the table as soon as it ends."""

import sys
import time
import warnings
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial

import joblib
import pandas as pd
import torch
from filelock import FileLock, Timeout
from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm import tqdm

from src.autoencoder import VariationalAutoencoder
from src.baseline import fine_tune, train_supervised
from src.data_loader import load_dataset
from src.experiment import CODES, Settings
from src.measure import measure_information, measure_reconstruction, read_code
from src.outcomes import (
    COLUMNS,
    load_outcome,
    origin,
    progress_path,
    results_path,
    save_outcome,
    what_is_missing,
    write_rows,
)
from src.train import train_autoencoder
from src.utils import one_thread, precision, seed_everything


class SweepError(RuntimeError):
    """Some experiments of a sweep have no result, or it could not start; the message says which and why."""


# or of which a reconstruction says nothing
UNABLE_TO_DECODE = ("random", "supervised", "pixels", "spatial_finetuned", "resnet18")


def run_sweep(experiments, n_jobs=-1, sample=False, settings=Settings()):
    """Run those experiments that have not been run with these settings, data and code, `n_jobs` at a time (-1: one a core).

    Returns the table of all of them, a row each, in the order given. Every row is in `results_path(sample)` as soon
    as its experiment ends. With `sample`, everything is on the embedded sample, whose results are kept apart.
    """
    with _alone(sample):
        failures = _run_all(_waiting(experiments, sample, settings), n_jobs, sample, settings)
        if failures:
            raise SweepError(f"{len(failures)} of {len(experiments)} experiments have no result: {'; '.join(failures)}")
        rows = [load_outcome(e, sample)["row"] for e in experiments]
        write_rows(rows, sample)  # for those that had been run before, should the table have been lost
    return pd.DataFrame(rows, columns=COLUMNS)


@contextmanager
def _alone(sample):
    """Hold the results' folder, so that no other sweep writes to it meanwhile."""
    folder = results_path(sample).parent
    folder.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(folder / ".sweep.lock").acquire(timeout=0)
    except Timeout:
        raise SweepError(f"another sweep is at work on {folder}; wait for its end or stop it") from None
    with held:
        yield


def _run_all(experiments, n_jobs, sample, settings):
    """Run experiments side by side, each a row of the table as soon as it ends; returns what went wrong with which."""
    job, failures, ended = joblib.delayed(_run_or_report), [], set()
    rows = joblib.Parallel(n_jobs, return_as="generator_unordered")(job(e, sample, settings) for e in experiments)
    with warnings.catch_warnings():
        # joblib replaces a worker whose memory has grown, and says so each time; no experiment is lost by it
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given")
        bar = tqdm(rows, "sweep", len(experiments), unit="experiment", disable=not experiments, file=sys.stdout)
        at_work = partial(_at_work, experiments, ended, joblib.effective_n_jobs(n_jobs))
        bar.set_postfix_str(at_work())
        try:
            for experiment, row in bar:
                write_rows([row], sample)
                ended.add(experiment)
                bar.set_postfix_str(at_work())
                if row["failure"]:
                    failures.append(f"{experiment}: {row['failure']}")
        except TerminatedWorkerError:
            lost = [str(e) for e in experiments if e not in ended]
            failures.append(f"a worker was killed, perhaps for want of memory; run again for {', '.join(lost)}")
    return failures


def _at_work(experiments, ended, workers):
    """What the workers are on, in a few words: they take experiments in order."""
    return ", ".join(str(e) for e in [e for e in experiments if e not in ended][:workers])


def _run_or_report(experiment, sample, settings):
    """The experiment and its row, or, where training went wrong, a row that says how."""
    try:
        return experiment, run_experiment(experiment, sample, settings)
    except FloatingPointError as error:
        return experiment, dict.fromkeys(COLUMNS) | asdict(experiment) | {"is_sample": sample, "failure": str(error)}


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
    made_by = origin(dataset, settings)
    in_training = progress_path(experiment, sample, made_by)
    seed_everything(experiment.seed)
    with one_thread():
        row, learnt = learn_and_read(experiment, dataset, settings, in_training)
    row |= asdict(experiment) | {"is_sample": dataset.is_sample, "precision": precision()}
    row |= {"train_images": len(dataset.split("train")[0])}
    row = save_outcome(experiment, sample, made_by, row, learnt)
    in_training.unlink(missing_ok=True)
    return row


def learn_and_read(experiment, dataset, settings, checkpoint=None):
    """Learn the code, measure it, read the class from it: the row, and all that was learnt, for `save_outcome`.

    `checkpoint` is where training keeps its state meanwhile.
    """
    start = time.perf_counter()
    model, history = _learn(experiment, dataset, settings, checkpoint)
    learnt = time.perf_counter()
    row = {} if experiment.autoencoder in UNABLE_TO_DECODE else measure_reconstruction(model, dataset)
    if isinstance(model, VariationalAutoencoder):
        row |= measure_information(model, dataset)
    start_reading = time.perf_counter()
    scores, classifier, predictions = read_code(model, dataset, settings, experiment.seed, experiment.has_conv_reader)
    row |= scores | {
        "epochs": len(history),
        "parameters": sum(p.numel() for p in model.parameters()),
        "autoencoder_seconds": learnt - start,
        "classifier_seconds": time.perf_counter() - start_reading - scores.get("conv_reader_seconds", 0),
    }
    learnt = {"state": model.state_dict(), "classifier": classifier.state_dict(), "history": history}
    return row, learnt | {"predictions": torch.from_numpy(predictions)}


def _learn(experiment, dataset, settings, checkpoint):
    """The trained model of an experiment and its history."""
    name, seed = experiment.autoencoder, experiment.seed
    if name == "supervised":
        return train_supervised(experiment.latent_dim, dataset, settings.baseline, seed), []
    model = CODES[name](experiment.latent_dim)
    config = settings.baseline if name.startswith("spatial") else settings.train
    history = train_autoencoder(model, dataset, config, seed, progress=False, checkpoint=checkpoint)
    if name == "spatial_finetuned":
        model = fine_tune(model, dataset, config, seed).autoencoder
    return model, history
