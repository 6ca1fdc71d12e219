"""How one experiment is run, and how many are: side by side, each a row of the table as soon as it ends."""

import sys
import threading
import time
from collections import Counter
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace

import joblib
import pandas as pd
from filelock import FileLock, Timeout
from joblib.externals.loky import get_reusable_executor
from tqdm import tqdm

from src.autoencoder import VariationalAutoencoder, build_autoencoder
from src.baseline import MODELS, model_class
from src.data_loader import load_dataset
from src.encode import encode_images
from src.evaluate import PROBES, evaluate_probes, measure_information, measure_reconstruction
from src.study.checkpoints import (
    COLUMNS,
    checkpoint_path,
    discard_if_damaged,
    load_autoencoder,
    load_checkpoint,
    load_made_by,
    network_of,
    origin,
    results_path,
    save_checkpoint,
    training_path,
    what_is_missing,
    write_rows,
)
from src.study.experiment import Settings, merge
from src.study.shared import kinds_of, load_shared
from src.train import train_autoencoder
from src.utils import WriteError, get_device, one_thread

_ONE_AT_A_TIME = threading.Lock()  # the threads of a process share torch's generator and number of threads


class SweepError(RuntimeError):
    """Some experiments of a sweep have no result, or it could not start; the message says which and why."""


def run_sweep(experiments, n_jobs=-1, sample=False, settings=Settings(), folder=""):
    """Run those experiments that have not been run with these settings, data and code, `n_jobs` at a time.

    `n_jobs` is -1 for one per core; on a GPU it is one at a time. Returns the table of all experiments, one row each, in the order
    given, those that differ in their probes alone as one. Every row is in `results_path(folder)` as soon as its experiment ends.
    With `sample`, everything is on the embedded sample, and the folder "sample". Raises SweepError, naming them, where experiments
    failed; the others are run all the same.
    On a cluster it runs inside joblib's own context manager; all machines see the same folder, and a failed worker is restarted:

        import joblib
        from distributed import Client
        from src.study.experiment import grid
        from src.study.sweep import run_sweep

        with Client("scheduler-address:8786"), joblib.parallel_config(backend="dask"):
            results = run_sweep(grid(["CIFAR10", "CIFAR100"], ["conv", "vae"], range(4, 129, 4), range(8)), folder="mine")
    """
    experiments, folder = merge(experiments), "sample" if sample else folder
    with _locked(folder):
        try:
            failures = _run_all(_to_run(experiments, folder, settings, sample), n_jobs, folder, settings, sample)
            if failures:
                named = "; ".join(failures)
                raise SweepError(f"{len(failures)} of {len(experiments)} experiments have no result: {named}")
            rows = [load_checkpoint(e, folder)["row"] for e in experiments]
            write_rows(rows, folder)  # for those that had been run before, should the table have been lost
        except WriteError as error:
            raise SweepError(f"{error}; what has been run is in its checkpoints, and the same sweep goes on") from None
    return pd.DataFrame([_asked_for(*pair) for pair in zip(experiments, rows, strict=True)], columns=COLUMNS)


def _asked_for(experiment, row):
    """The row without the probes that were run at another time and not asked for now."""
    others = [name for name in PROBES if name not in experiment.probes]
    return row | {f"{column}_{name}": None for name in others for column in PROBES[name].columns}


@contextmanager
def _locked(folder):
    """Hold the results' folder, so that no other sweep writes to it meanwhile."""
    path = results_path(folder).parent
    try:
        path.mkdir(parents=True, exist_ok=True)
        held = FileLock(path / ".sweep.lock").acquire(timeout=0)
    except Timeout:
        raise SweepError(f"another sweep is at work on {path}; wait for its end or stop it") from None
    except OSError as error:
        raise SweepError(f"{path} cannot be written ({error}); a sweep keeps its table there") from None
    with held:
        yield


def _to_run(experiments, folder, settings, sample):
    """The experiments that have to be run, each with what it is made by; says how many for which reason."""
    datasets = {name: _load(name, sample) for name in {e.dataset for e in experiments}}
    made_by = {e: origin(e, datasets[e.dataset], settings) for e in experiments}
    reasons = {e: what_is_missing(e, folder, made_by[e]) for e in experiments}
    for reason, count in Counter(filter(None, reasons.values())).items():
        print(f"{count} of {len(reasons)} experiments to run: {reason}")
    return {e: made_by[e] for e, reason in reasons.items() if reason}


def _load(name, sample):
    dataset = load_dataset(name, download=False, sample=sample)
    if dataset.is_sample and not sample:  # whose results must not replace those of the complete data
        how = f"load_dataset({name!r}) downloads the data, and sample=True keeps the sample's results apart"
        raise SweepError(f"of {name} only the embedded sample is there; {how}")
    return dataset


def _run_all(experiments, n_jobs, folder, settings, sample):
    """Run experiments side by side, each a row of the table as soon as it ends; returns what went wrong with which."""
    n_jobs = n_jobs if get_device().type == "cpu" else 1
    if experiments:  # workers of an earlier sweep have the modules as they were then
        get_reusable_executor().shutdown(wait=True)
    job, failures, ended = joblib.delayed(_run_or_report), [], set()
    # the constructors go along, since a worker has not run the notebook that may define them; in a tuple with the experiment,
    # since Dask would keep a class as an argument of its own on one worker, and lose it with that worker
    jobs = (job((e, MODELS[e.autoencoder], made_by), folder, settings, sample) for e, made_by in experiments.items())
    try:
        _prepare_shared(experiments, n_jobs, folder, settings, sample)
        results = joblib.Parallel(n_jobs, return_as="generator_unordered")(jobs)
        bar = tqdm(results, "sweep", len(experiments), disable=not experiments, unit="experiment", file=sys.stdout)
        for experiment, row, failure in bar:
            ended.add(experiment)
            if failure:
                failures.append(f"{experiment}: {failure}")
            else:
                write_rows([row], folder)
    except BrokenProcessPool:
        lost = ", ".join(str(e) for e in experiments if e not in ended)
        failures.append(f"a worker was killed, perhaps for want of memory; run again for {lost}")
    return failures


def _prepare_shared(experiments, n_jobs, folder, settings, sample):
    """Learn what sizes share before they are run side by side, once for each data set and seed."""
    shared = {(kind, e.dataset, e.seed) for e in experiments for kind in kinds_of(e.autoencoder, e.latent_dim)}
    jobs = [joblib.delayed(_learn_features)(*what, settings.views, folder, sample) for what in sorted(shared)]
    largest = {_largest(e): made_by for e, made_by in experiments.items() if model_class(e.autoencoder).one_training}
    largest = {e: made_by for e, made_by in largest.items() if what_is_missing(e, folder, made_by)}
    job = joblib.delayed(_run_or_report)
    jobs += [job((e, MODELS[e.autoencoder], largest[e]), folder, settings, sample) for e in largest]
    joblib.Parallel(n_jobs)(jobs)  # what fails here fails again, and is reported, in each experiment that needs it


def _learn_features(kind, name, seed, views, folder, sample):
    try:
        load_shared(_load(name, sample), kind, seed, views, folder)
    except Exception:  # reported by the experiments that need it
        return


def _largest(experiment):
    """The experiment of the largest size, without probes, whose weights those of all sizes are."""
    return replace(experiment, latent_dim=max(model_class(experiment.autoencoder).latent_dims), probes=())


def _run_or_report(what, folder, settings, sample):
    """The experiment, its row, and what went wrong with it, if anything."""
    experiment, constructor, made_by = what
    if experiment.autoencoder not in MODELS.of_the_repository:
        MODELS[experiment.autoencoder] = constructor
    try:
        with _ONE_AT_A_TIME:
            return experiment, run_experiment(experiment, folder, settings, made_by, sample), ""
    except Exception as error:  # whatever it is, the other experiments must go on
        return experiment, None, f"{type(error).__name__}: {error}"


def run_experiment(experiment, folder="", settings=Settings(), made_by=None, sample=False):
    """Run one experiment on one thread, keep what it leaves in `models/`, and return its row of the table.

    Where its checkpoint lacks nothing but probes, the model is taken from there. `made_by` is its `origin`, where that is known.
    """
    dataset = _load(experiment.dataset, sample)
    made_by = made_by or origin(experiment, dataset, settings)
    training = training_path(checkpoint_path(experiment, folder), made_by)
    for path in _states(training):
        discard_if_damaged(path)
    kinds = kinds_of(experiment.autoencoder, experiment.latent_dim)
    features = {kind: load_shared(dataset, kind, experiment.seed, settings.views, folder) for kind in kinds}
    with one_thread():
        if known := load_made_by(experiment, folder, made_by):
            model, row = load_autoencoder(experiment, folder).to(get_device()), known["row"]
            learnt = {key: value for key, value in known.items() if key not in ("origin", "row")}
        else:
            model, row, learnt = _learn(experiment, dataset, settings, training, features, folder, made_by)
        probes = [probe for probe in experiment.probes if probe not in learnt["probes"]]
        how = settings.views, settings.mlp, settings.cnn
        known = {kind: shared.views for kind, shared in features.items()}
        found, trained = evaluate_probes(model, dataset, probes, experiment.seed, *how, known or None)
    found["classifier_seconds"] += row.get("classifier_seconds", 0)
    experiment = replace(experiment, probes=(*learnt.pop("probes"), *probes))
    trained["predictions"] = learnt.get("predictions", {}) | trained["predictions"]
    row = save_checkpoint(experiment, folder, made_by, row | found, learnt | trained)
    for path in _states(training):
        path.unlink()
    return row


def _states(training):
    """The states of an experiment in training, one a stage."""
    return [path for path in training.parent.glob("*") if path.name.startswith(training.name)]


def _learn(experiment, dataset, settings, training, features, folder, made_by):
    """The trained model, what is measured of its reconstruction, and what is to be kept beside the row."""
    name = experiment.autoencoder
    model = build_autoencoder(name, experiment.latent_dim, experiment.seed, **network_of(name, settings))
    history, seconds = _take_weights(model, experiment, folder, made_by) or _train(
        model, experiment, dataset, settings, training, features
    )
    (images, _), (test, _) = dataset.split("train"), dataset.split("test")
    if (size := encode_images(model, images[:2]).shape[1]) != experiment.latent_dim:
        raise ValueError(f"its code has {size} numbers, not {experiment.latent_dim}")
    row = experiment.key | {
        "is_sample": dataset.is_sample,
        "train_images": len(images),
        "test_images": len(test),
        "epochs": len(history),
        "parameters": sum(p.numel() for p in model.parameters()),
        "autoencoder_seconds": seconds,
    }
    if model.has_decoder:
        row.update(measure_reconstruction(model, dataset))
    if isinstance(model, VariationalAutoencoder):
        row.update(measure_information(model, dataset))
    return model, row, {"probes": [], "history": history, "state": model.state_dict()}


def _train(model, experiment, dataset, settings, training, features):
    """Train the model of an experiment; returns the history and the seconds of the whole training."""
    start = time.thread_time()
    for kind, shared in features.items():
        model.get_submodule(kind).load_state_dict(shared.state)
    config = getattr(settings, model.trained_with)
    history = train_autoencoder(model, dataset, config, experiment.seed, progress=False, checkpoint=training)
    # training that was interrupted has begun in another process
    seconds = max(time.thread_time() - start, sum(epoch["seconds"] for epoch in history))
    return history, seconds + sum(shared.seconds for shared in features.values())


def _take_weights(model, experiment, folder, made_by):
    """Give the model those of the largest size, where all sizes have the same; their history and seconds, or None."""
    checkpoint = load_made_by(_largest(experiment), folder, made_by) if model.one_training else None
    if not checkpoint:
        return None
    model.load_state_dict(checkpoint["state"])
    model.to(get_device())
    return checkpoint["history"], checkpoint["row"]["autoencoder_seconds"]
