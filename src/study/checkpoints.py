"""What experiments leave on disk: a checkpoint each, tied to all that made it, and one table of results."""

import hashlib
import shutil
import time
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import scipy
import sklearn
import torch

from src.autoencoder import build_autoencoder
from src.baseline import MODELS, model_class, network_arguments
from src.classifier import LatentClassifier
from src.data_loader import class_names
from src.evaluate import PROBES
from src.pretrained import TrainedModel
from src.source import code_of_class, code_of_modules
from src.study.experiment import KEY, Experiment
from src.utils import (
    MODELS_DIR,
    REPORTS_DIR,
    DamagedFileError,
    atomic_path,
    get_device,
    has_bfloat16,
    load_safely,
    save_atomically,
)

COLUMNS = [
    *KEY, "is_sample", "train_images", "test_images", "epochs", "parameters", "val_mse", "test_mse", "test_psnr_db",
    "kl_nats", "bits_per_dim", "active_units", *(f"accuracy_{name}" for name in PROBES),
    *(f"{column}_{name}" for name, probe in PROBES.items() for column in probe.columns if column != "accuracy"),
    "autoencoder_seconds", "classifier_seconds",
]  # fmt: skip
PART_OF_ALL_RESULTS = tuple(
    f"src.{name}" for name in "autoencoder classifier data_loader encode evaluate train utils study.sweep".split()
)


def checkpoint_path(experiment, folder=""):
    """Where the checkpoint of an Experiment is kept; `folder` is that of the study, "" for the full one."""
    e = experiment
    return models_folder(folder) / f"{e.dataset}.{e.autoencoder}.d{e.latent_dim}.seed{e.seed}.pt"


def models_folder(folder=""):
    """Where a study keeps its checkpoints."""
    return MODELS_DIR / Path(folder).expanduser()


def training_path(path, made_by):
    """Where the state of training is kept for what will be the checkpoint at `path`; the name is tied to all that makes it."""
    key = hashlib.sha256(repr(made_by).encode()).hexdigest()[:12]
    return path.parent / "in_training" / f"{path.stem}_{key}.pt"


def discard_if_damaged(path):
    """Remove a state of training that was read whole and is not as it was written; training starts anew."""
    if path.exists() and load_safely(path) is None:
        path.unlink()


def origin(experiment, dataset, settings):
    """All that makes a result, beside its Experiment: settings, data, code, libraries and precision.

    Of the code, `code` is what all results of a class depend on, `model` the class itself. Comments and docstrings may change.
    """
    name, parts = experiment.autoencoder, asdict(settings)
    made_with = {part: parts[part] for part in (model_class(name).trained_with, "views", "mlp", "cnn")}
    made_with["network"] = network_of(name, settings)
    return {
        "settings": made_with,
        "data": dataset.fingerprint,
        "code": code_of_modules(*PART_OF_ALL_RESULTS, *model_class(name).further_code),
        "model": code_of_class(model_class(name)),
        **computed_with(),
    }


def computed_with():
    """The versions of the libraries that a result depends on, and the precision."""
    found = {"torch": torch, "NumPy": np, "scikit-learn": sklearn, "SciPy": scipy}
    libraries = ", ".join(f"{name} {library.__version__}" for name, library in found.items())
    precision = "bfloat16" if has_bfloat16(get_device()) else "float32"
    return {"libraries": libraries, "precision": f"{precision} on {get_device().type}"}


def network_of(name, settings):
    """The arguments that a model is built with: those of its entry in MODELS, and of the settings those that it takes."""
    return getattr(MODELS[name], "keywords", {}) | network_arguments(name, asdict(settings.network))


def save_checkpoint(experiment, folder, made_by, row, learnt):
    """Write the checkpoint of an experiment, all or nothing; returns its row of the table."""
    if lost := row.keys() - set(COLUMNS):
        raise ValueError(f"the table has no column {', '.join(sorted(lost))}; enter a probe in PROBES of src.evaluate")
    row = {column: _plain(row.get(column)) for column in COLUMNS}
    contents = {"origin": made_by, "probes": list(experiment.probes), "row": row}
    contents["classes"] = list(class_names(experiment.dataset))
    save_atomically(contents | learnt, checkpoint_path(experiment, folder))
    return row


def load_checkpoint(experiment, folder=""):
    """What an experiment left: `row`, `history` (one dict per epoch), test `predictions` by probe, `origin`, `probes`, `classes`, the
    weights of the autoencoder, `state`, and of the MLP probe, `classifier`.

    `experiment` is an Experiment or the path of its checkpoint. Raises ValueError where there is nothing or a file of another
    kind, and DamagedFileError where the file is not as it was written.
    """
    path = checkpoint_path(experiment, folder) if isinstance(experiment, Experiment) else Path(experiment).expanduser()
    if not path.exists():
        raise ValueError(f"{experiment} has not been run: there is no {path}; run it with run_sweep")
    checkpoint = load_safely(path)
    if checkpoint is None:
        raise DamagedFileError(f"{path} is damaged; run the experiment again with run_sweep")
    if not isinstance(checkpoint, dict) or not {"row", "state", "origin", "probes", "classes"} <= checkpoint.keys():
        raise ValueError(f"{path} is not the checkpoint of an experiment, which run_sweep leaves in {MODELS_DIR}")
    return checkpoint


def load_autoencoder(experiment, folder=""):
    """The trained autoencoder of an Experiment that has been run, or of a checkpoint's path, ready for use.

    A warning says where the code of its class has changed since.
    """
    checkpoint = load_checkpoint(experiment, folder)
    row, network = checkpoint["row"], checkpoint["origin"]["settings"]["network"]
    if row["autoencoder"] in MODELS:
        if checkpoint["origin"]["model"] != code_of_class(model_class(row["autoencoder"])):
            changed = f"the code of {row['autoencoder']} has changed since {experiment} was run"
            warnings.warn(f"{changed}; run it again with run_sweep", stacklevel=2)
    model = build_autoencoder(row["autoencoder"], row["latent_dim"], **network)
    model.load_state_dict(checkpoint["state"])
    return model.eval()


def load_classifier(experiment, folder=""):
    """The MLP probe that was trained on the codes of `load_autoencoder(experiment, folder)`, ready for use."""
    checkpoint = load_checkpoint(experiment, folder)
    if "classifier" not in checkpoint:
        raise ValueError(f"{experiment} was run without the MLP probe; run it with probes that have it")
    row = checkpoint["row"]
    model = LatentClassifier(row["latent_dim"], len(checkpoint["classes"]))
    model.load_state_dict(checkpoint["classifier"])
    return model.eval()


def load_trained(experiment, folder=""):
    """The TrainedModel of an Experiment that has been run with the MLP probe, in the study's `folder`, or of a checkpoint's path.

    Its classes are those it was trained on, whatever the data set of that name is now. Raises what `load_checkpoint` raises.
    """
    checkpoint = load_checkpoint(experiment, folder)
    autoencoder, classifier = load_autoencoder(experiment, folder), load_classifier(experiment, folder)
    return TrainedModel(autoencoder, classifier, tuple(checkpoint["classes"]), checkpoint["row"])


def what_is_missing(experiment, folder, made_by):
    """Why an experiment has to be run, in a few words; empty where its checkpoint has all that was asked for."""
    if not checkpoint_path(experiment, folder).exists():
        return "not run before"
    try:
        found = load_checkpoint(experiment, folder)
    except ValueError:
        return "damaged checkpoint"
    if found["origin"] != made_by:
        return " and ".join(f"other {part}" for part in made_by if found["origin"].get(part) != made_by[part])
    return "" if {*experiment.probes} <= {*found["probes"]} else "more probes"


def load_made_by(experiment, folder, made_by):
    """The checkpoint of an experiment where it was made by the same, whatever its probes; else None."""
    try:
        found = load_checkpoint(experiment, folder)
    except ValueError:
        return None
    return found if found["origin"] == made_by else None


def results_path(folder=""):
    """The table of results of a study; those of other folders never replace the full study's."""
    return REPORTS_DIR / Path(folder).expanduser() / "results.csv"


def read_results(folder=""):
    """The table of results on disk, empty where there is none yet; ValueError where a file is no such table."""
    path = results_path(folder)
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS)
    try:
        table = pd.read_csv(path, engine="python")  # which reads numbers as they were written
    except Exception as error:  # whatever a damaged file leads to
        raise ValueError(f"{path} cannot be read ({error}); run_sweep writes it again from the checkpoints") from error
    is_table = set(KEY) <= set(table.columns)
    if not is_table or (len(table) and {table.latent_dim.dtype.kind, table.seed.dtype.kind} != {"i"}):
        raise ValueError(f"{path} is no table of results; run_sweep writes it again from the checkpoints")
    return table.reindex(columns=COLUMNS)


def write_rows(rows, folder=""):
    """Put rows into the table on disk, in place of those of the same experiments, all or nothing.

    A table that cannot be read is kept beside it under another name.
    """
    path = results_path(folder)
    try:
        before = read_results(folder)
    except ValueError as error:
        kept = path.with_name(f"results_damaged_{time.time_ns()}.csv")
        shutil.copy(path, kept)
        warnings.warn(f"{error}; it is kept as {kept}", stacklevel=2)
        before = pd.DataFrame(columns=COLUMNS)
    table = pd.concat([before.astype(object), pd.DataFrame(rows, columns=COLUMNS).astype(object)])
    table = table.drop_duplicates(KEY, keep="last").sort_values(KEY, kind="stable")
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def _plain(value):
    """NumPy scalars as Python's, which a checkpoint that holds no code may contain."""
    return value.item() if isinstance(value, np.generic) else value
