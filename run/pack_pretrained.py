"""Make the pretrained models that come with the repository from the checkpoints of the full study.

`make pretrained`, or `python run/pack_pretrained.py`. `models/pretrained/README.md` is their model card.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that `src` is found without an installation

import torch
from safetensors.torch import save_file

from src.codec import FITTED_TO, fit_codec
from src.data_loader import load_dataset
from src.pretrained import CODED_UNDER, FOLDER, SIZES, checksum, file_of
from src.study.checkpoints import load_autoencoder, load_checkpoint
from src.study.experiment import Experiment
from src.utils import atomic_path


def save_pretrained(dataset, autoencoder, folder=FOLDER):
    """Write the file of a data set and an autoencoder from the checkpoints of the full study, all or nothing.

    Raises ValueError where an experiment has not been run, DamagedFileError where its checkpoint is not as it was written.
    """
    experiments = {size: Experiment(dataset, autoencoder, size) for size in SIZES[dataset, autoencoder]}
    found = {size: load_checkpoint(e) for size, e in experiments.items()}
    tensors = weights(found) | codecs(experiments)
    made_by = dict(next(iter(found.values()))["origin"])
    made_by["network"] = made_by["settings"]["network"]
    made_by["rows"] = {str(size): checkpoint["row"] for size, checkpoint in found.items()}
    made_by["checksum"] = checksum(made_by, tensors)
    with atomic_path(file_of(dataset, autoencoder, folder)) as path:
        save_file(tensors, path, {"made_by": json.dumps(made_by)})


def weights(found):
    """The weights of checkpoints, a dict by size, as float16 tensors by name; those that all sizes share, once."""
    states = {size: state_of(checkpoint) for size, checkpoint in found.items()}
    first = next(iter(states.values()))
    shared = {key for key in first if all(torch.equal(first[key], state[key]) for state in states.values())}
    tensors = {f"all/{key}": first[key] for key in shared}
    tensors |= {f"{size}/{key}": state[key] for size, state in states.items() for key in state if key not in shared}
    return {key: (x.half() if x.is_floating_point() else x).contiguous() for key, x in sorted(tensors.items())}


def state_of(checkpoint):
    """The tensors of a checkpoint's autoencoder and of its classifier in one dict, by name."""
    parts = {"autoencoder": checkpoint["state"], "classifier": checkpoint["classifier"]}
    return {f"{name}/{key}": value for name, part in parts.items() for key, value in part.items()}


def codecs(experiments):
    """What the codes of experiments, a dict by size, are coded under, float64 tensors by name, fitted to training images."""
    tensors = {}
    for size, experiment in experiments.items():
        images = load_dataset(experiment.dataset).split("train")[0][:FITTED_TO]
        codec = fit_codec(load_autoencoder(experiment), images)
        tensors |= {f"{size}/codec/{part}": torch.from_numpy(getattr(codec, part)) for part in CODED_UNDER}
    return tensors


if __name__ == "__main__":
    for kept in SIZES:
        save_pretrained(*kept)
