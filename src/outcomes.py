"""What experiments leave on disk: a checkpoint each, tied to all that made it, and one table of results."""

import ast
import hashlib
import inspect
import io
import warnings
import zlib
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from src import autoencoder, baseline, classifier, further_codes, measure, objectives, train
from src.cifar import CLASSES
from src.experiment import CODES, Experiment
from src.utils import MODELS_DIR, REPORTS_DIR, atomic_path, load_safely, save_atomically

COLUMNS = (
    "dataset autoencoder latent_dim seed is_sample train_images epochs parameters val_mse test_mse test_psnr_db "
    "kl_nats bits_per_dim active_units accuracy_linear accuracy_knn accuracy_mlp accuracy_conv "
    "accuracy_both top5_mlp macro_f1_mlp autoencoder_seconds classifier_seconds conv_reader_seconds precision failure"
).split()


class DamagedFileError(ValueError):
    """A file that is not as it was written; the message names it and says how to get it again."""


def outcome_path(experiment, sample=False):
    """Where the checkpoint of an experiment is kept."""
    e, folder = experiment, MODELS_DIR / "sample" if sample else MODELS_DIR
    return folder / f"{e.dataset}_{e.autoencoder}_d{e.latent_dim}_seed{e.seed}.pt"


def progress_path(experiment, sample, origin):
    """Where the state of an experiment in training is kept; the name is tied to all that makes its result."""
    path, made_by = outcome_path(experiment, sample), hashlib.sha256(repr(origin).encode()).hexdigest()[:12]
    return path.parent / "in_training" / f"{path.stem}_{made_by}.pt"


def origin(dataset, settings):
    """All that makes a result, beside its Experiment: the settings, the data, and the code that computes it.

    Of the code only what it does counts: comments, docstrings and layout may change.
    """
    return {"settings": asdict(settings), "data": dataset.fingerprint, "code": _code_version()}


@cache
def _code_version():
    digest = hashlib.sha256()
    for module in (autoencoder, objectives, baseline, further_codes, train, classifier, measure):
        tree = ast.parse(inspect.getsource(module))
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
                node.body = node.body[1:]
        digest.update(ast.dump(tree).encode())
    return digest.hexdigest()[:16]


def save_outcome(experiment, sample, origin, row, learnt):
    """Write the checkpoint of an experiment, all or nothing; returns its row of the table."""
    row = {column: _plain(row.get(column)) for column in COLUMNS}
    save_atomically({"origin": origin, "row": row} | learnt, outcome_path(experiment, sample))
    return row


def load_outcome(experiment, sample=False):
    """What an experiment left: `row`, `history` (a dict an epoch), test `predictions`, `origin`, the `state` of the
    autoencoder and of the MLP, the `classifier`.

    `experiment` is an Experiment or the path of its checkpoint. Raises ValueError where there is nothing, and
    DamagedFileError where the file is not as it was written.
    """
    path = outcome_path(experiment, sample) if isinstance(experiment, Experiment) else Path(experiment)
    if not path.exists():
        raise ValueError(f"{experiment} has not been run: there is no {path.name}; run it with run_sweep")
    outcome = load_safely(path)
    if outcome is None:
        raise DamagedFileError(f"{path} is damaged; run the experiment again with run_sweep")
    return outcome


def load_autoencoder(experiment, sample=False):
    """The trained autoencoder of an Experiment that has been run, or of a checkpoint's path, ready for use."""
    outcome = load_outcome(experiment, sample)
    model = CODES[outcome["row"]["autoencoder"]](outcome["row"]["latent_dim"])
    model.load_state_dict(outcome["state"])
    return model.eval()


def load_classifier(experiment, sample=False):
    """The MLP that was trained on the codes of `load_autoencoder(experiment, sample)`, ready for use."""
    outcome = load_outcome(experiment, sample)
    row = outcome["row"]
    model = classifier.LatentClassifier(row["latent_dim"], len(CLASSES[row["dataset"]]))
    model.load_state_dict(outcome["classifier"])
    return model.eval()


def what_is_missing(experiment, sample, origin):
    """Why an experiment has to be run, in a few words; empty where its checkpoint was made by the same `origin`."""
    if not outcome_path(experiment, sample).exists():
        return "not run before"
    try:
        found = load_outcome(experiment, sample)["origin"]
    except DamagedFileError:
        return "damaged checkpoint"
    return " and ".join(f"other {part}" for part in origin if found.get(part) != origin[part])


def results_path(sample=False):
    """The table of results; that of the sample is kept apart and never replaces the full study's."""
    return (REPORTS_DIR / "sample" if sample else REPORTS_DIR) / "results.csv"


def read_results(sample=False):
    """The table of results on disk, empty where there is none yet.

    Every line of the file ends with a checksum of the rest of it; a line that is not as it was written is left out, with
    a warning that says how to get it back.
    """
    path = results_path(sample)
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS)
    text = path.read_text(errors="replace")
    lines = [line.rpartition(",") for line in text.splitlines()]
    whole = [rest for rest, _, checksum in lines if checksum == _checksum(rest)]
    if len(whole) < len(lines):
        what = f"{len(lines) - len(whole)} of {len(lines)} lines of {path} are damaged and left out"
        warnings.warn(f"{what}; run_sweep writes them again from the checkpoints", stacklevel=2)
    if not whole or whole[0] != ",".join(COLUMNS):
        return pd.DataFrame(columns=COLUMNS)
    return pd.read_csv(io.StringIO("\n".join(whole)))


def write_rows(rows, sample=False):
    """Put rows into the table on disk, in place of those of the same experiments, all or nothing."""
    path, key = results_path(sample), list(Experiment.__dataclass_fields__)
    table = pd.DataFrame(rows, columns=COLUMNS)
    table = pd.concat([read_results(sample).astype(object), table.astype(object)])
    table = table.drop_duplicates(key, keep="last").sort_values(key, kind="stable")
    lines = table.to_csv(index=False).splitlines()
    with atomic_path(path) as temporary:
        temporary.write_text("".join(f"{line},{_checksum(line)}\n" for line in lines))


def _checksum(line):
    """Eight hexadecimal digits; of the header its name, so that the column has one."""
    return "checksum" if line == ",".join(COLUMNS) else f"{zlib.crc32(line.encode()):08x}"


def _plain(value):
    """NumPy scalars as Python's, which a checkpoint that holds no code may contain."""
    return value.item() if isinstance(value, np.generic) else value
