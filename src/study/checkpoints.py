"""What experiments leave on disk: a checkpoint each, tied to all that made it, and one table of results."""

import ast
import hashlib
import io
import re
import warnings
from dataclasses import asdict
from functools import cache
from pathlib import Path
from types import CodeType

import numpy as np
import pandas as pd
import sklearn
import torch

from src.autoencoder import AUTOENCODERS, build_autoencoder
from src.classifier import LatentClassifier
from src.data_loader import class_names
from src.study.experiment import KEY, Experiment
from src.utils import (
    MODELS_DIR,
    REPORTS_DIR,
    ROOT,
    atomic_path,
    get_device,
    has_bfloat16,
    load_safely,
    save_atomically,
)

COLUMNS = (
    "dataset autoencoder latent_dim seed is_sample train_images epochs parameters val_mse test_mse test_psnr_db "
    "kl_nats bits_per_dim active_units accuracy_linear accuracy_knn accuracy_mlp accuracy_conv "
    "top5_mlp macro_f1_mlp autoencoder_seconds classifier_seconds"
).split()
PART_OF_ALL_RESULTS = (
    "autoencoder",
    "classifier",
    "data_loader",
    "encode",
    "evaluate",
    "train",
    "utils",
    "study.sweep",
)


class DamagedFileError(ValueError):
    """A file that is not as it was written; the message names it and says how to get it again."""


def checkpoint_path(experiment, folder=""):
    """Where the checkpoint of an Experiment is kept; `folder` is that of the study, "" for the full one."""
    e = experiment
    return MODELS_DIR / folder / f"{e.dataset}_{e.autoencoder}_d{e.latent_dim}_seed{e.seed}.pt"


def training_path(experiment, folder, made_by):
    """Where the state of an experiment in training is kept; the name is tied to all that makes its result."""
    path, key = checkpoint_path(experiment, folder), hashlib.sha256(repr(made_by).encode()).hexdigest()[:12]
    return path.parent / "in_training" / f"{path.stem}_{key}.pt"


def origin(experiment, dataset, settings):
    """All that makes a result, beside its Experiment: settings, data, code, libraries and precision.

    Of the code only what it does counts: comments, docstrings, layout and colours may change.
    """
    precision = "bfloat16" if has_bfloat16(get_device()) else "float32"
    model, settings = AUTOENCODERS[experiment.autoencoder], asdict(settings)
    return {
        "settings": {part: settings[part] for part in (model.trained_with, "network", "views", "mlp", "cnn")},
        "data": dataset.fingerprint,
        "code": _code_version(model) + _version_of_class(model),
        "libraries": libraries(),
        "precision": f"{precision} on {get_device().type}",
    }


def libraries():
    """Those that a result depends on, with their versions."""
    return f"torch {torch.__version__}, NumPy {np.__version__}, scikit-learn {sklearn.__version__}"


def _code_version(model):
    """Of the modules that all results depend on, and those that define the model's class."""
    defined_in = {part.__module__ for part in model.__mro__ if part.__module__.startswith("src.")}
    return code_version(*sorted(defined_in | {f"src.{name}" for name in PART_OF_ALL_RESULTS}))


@cache
def code_version(*modules):
    """A checksum of what modules do."""
    digest = hashlib.sha256()
    for module in modules:
        source = (ROOT / module.replace(".", "/")).with_suffix(".py").read_text(encoding="utf-8")
        digest.update(_without_comments(source).encode())
    return digest.hexdigest()[:16]


def _version_of_class(model):
    """Of an autoencoder that is defined elsewhere, in a notebook for example, the same of its class; else nothing.

    Of its compiled code, since a worker has no source of what a notebook defines; what it reads from outside is not seen.
    """
    own = [vars(part) for part in model.__mro__ if not part.__module__.startswith(("src.", "torch.", "builtins"))]
    parts = [(key, _compiled(x)) for part in own for key, x in sorted(part.items()) if callable(x) or key[:2] != "__"]
    text = re.sub(r" at 0x\w+", "", repr(parts))  # addresses differ from process to process
    return "-" + hashlib.sha256(text.encode()).hexdigest()[:16] if own else ""


def _compiled(value):
    """What a member of a class does, where it is code, as plain values; any other value as it is."""
    function = getattr(value, "__func__", getattr(value, "fget", value))  # of a class method, of a property
    if hasattr(function, "__code__"):
        return _compiled(function.__code__), function.__defaults__, function.__kwdefaults__
    if isinstance(value, CodeType):
        return value.co_code, value.co_names, [_compiled(constant) for constant in value.co_consts]
    return value


def _without_comments(source):
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
        if isinstance(node, ast.ClassDef):  # what figures show of an autoencoder
            looks = [line for line in node.body if isinstance(line, ast.Assign) and "'colour'" in ast.dump(line)]
            node.body = [line for line in node.body if line not in looks]
    return ast.dump(tree)


def save_checkpoint(experiment, folder, made_by, row, learnt):
    """Write the checkpoint of an experiment, all or nothing; returns its row of the table."""
    row = {column: _plain(row.get(column)) for column in COLUMNS}
    contents = {"origin": made_by, "probes": list(experiment.probes), "row": row}
    save_atomically(contents | learnt, checkpoint_path(experiment, folder))
    return row


def load_checkpoint(experiment, folder=""):
    """What an experiment left: `row`, `history` (a dict an epoch), test `predictions`, `origin`, `probes`, the `state` of the
    autoencoder and of the MLP probe, the `classifier`.

    `experiment` is an Experiment or the path of its checkpoint. Raises ValueError where there is nothing or a file of another
    kind, and DamagedFileError where the file is not as it was written.
    """
    path = checkpoint_path(experiment, folder) if isinstance(experiment, Experiment) else Path(experiment)
    if not path.exists():
        raise ValueError(f"{experiment} has not been run: there is no {path}; run it with run_sweep")
    checkpoint = load_safely(path)
    if checkpoint is None:
        raise DamagedFileError(f"{path} is damaged; run the experiment again with run_sweep")
    if not isinstance(checkpoint, dict) or not {"row", "state", "origin", "probes"} <= checkpoint.keys():
        raise ValueError(f"{path} is not the checkpoint of an experiment, which run_sweep leaves in {MODELS_DIR}")
    return checkpoint


def load_autoencoder(experiment, folder=""):
    """The trained autoencoder of an Experiment that has been run, or of a checkpoint's path, ready for use."""
    checkpoint = load_checkpoint(experiment, folder)
    row, network = checkpoint["row"], checkpoint["origin"]["settings"]["network"]
    model = build_autoencoder(row["autoencoder"], row["latent_dim"], **network)
    model.load_state_dict(checkpoint["state"])
    return model.eval()


def load_classifier(experiment, folder=""):
    """The MLP probe that was trained on the codes of `load_autoencoder(experiment, folder)`, ready for use."""
    checkpoint = load_checkpoint(experiment, folder)
    if "classifier" not in checkpoint:
        raise ValueError(f"{experiment} was run without the MLP probe; run it with probes that have it")
    row = checkpoint["row"]
    model = LatentClassifier(row["latent_dim"], len(class_names(row["dataset"])))
    model.load_state_dict(checkpoint["classifier"])
    return model.eval()


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


def results_path(folder=""):
    """The table of results of a study; those of other folders never replace the full study's."""
    return REPORTS_DIR / folder / "results.csv"


def read_results(folder=""):
    """The table of results on disk, empty where there is none yet.

    A table that is not as it was written counts as none, with a warning that says how to get it back.
    """
    path = results_path(folder)
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS)
    text = path.read_text(encoding="utf-8", errors="replace")
    if not _is_whole(path, text):
        warnings.warn(f"{path} is damaged and left out; run_sweep writes it again from the checkpoints", stacklevel=2)
        return pd.DataFrame(columns=COLUMNS)
    return pd.read_csv(io.StringIO(text), float_precision="round_trip")


def write_rows(rows, folder=""):
    """Put rows into the table on disk, in place of those of the same experiments, all or nothing."""
    path = results_path(folder)
    table = pd.concat([read_results(folder).astype(object), pd.DataFrame(rows, columns=COLUMNS).astype(object)])
    table = table.drop_duplicates(KEY, keep="last").sort_values(KEY, kind="stable")
    text, before = table.to_csv(index=False, lineterminator="\n"), ""
    if path.exists():
        before = path.read_text(encoding="utf-8", errors="replace")
        if not _is_whole(path, before):
            path.replace(path.with_name("results_damaged.csv"))
            before = ""
    # with the checksum of what is there, too, so that the table is whole before and after it is replaced
    with atomic_path(_checksum_path(path)) as temporary:
        temporary.write_text("".join(f"{_checksum(table)}  {path.name}\n" for table in {before: 0, text: 0} if table))
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _checksum_path(path):
    return path.with_suffix(".sha256")


def _is_whole(path, text):
    """Whether a table is as it was written, by the checksums beside it; without any it is taken as it is."""
    file = _checksum_path(path)
    return not file.exists() or _checksum(text) in file.read_text(errors="replace")


def _checksum(text):
    return hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()


def _plain(value):
    """NumPy scalars as Python's, which a checkpoint that holds no code may contain."""
    return value.item() if isinstance(value, np.generic) else value
