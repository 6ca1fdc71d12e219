"""Make the pretrained models that come with the repository, a file a data set, from the checkpoints of the full study.

`make pretrained`, or `python run/pack_pretrained.py`. `models/pretrained/README.md` is their model card.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that `src` is found without an installation

import torch
from safetensors.torch import save_file

from src.codec import FITTED_TO, fit_codec
from src.data_loader import CLASSES, load_dataset
from src.pretrained import CODED_UNDER, FOLDER, LATENT_DIMS, checksum
from src.study.checkpoints import load_autoencoder, load_checkpoint
from src.study.experiment import Experiment
from src.utils import atomic_path

AUTOENCODER = "features_50"  # keeps the image and the class: half of its numbers are for pixels


def save_pretrained(dataset, folder=FOLDER):
    """Write `folder/DATASET.safetensors` from the checkpoints of the full study, all or nothing.

    Raises ValueError where an experiment has not been run, DamagedFileError where its checkpoint is not as it was written.
    """
    found = {size: load_checkpoint(Experiment(dataset, AUTOENCODER, size)) for size in LATENT_DIMS}
    tensors = weights(found) | codecs(dataset)
    made_by = dict(found[LATENT_DIMS[0]]["origin"]) | {"checksum": checksum(tensors)}
    made_by |= {"network": made_by["settings"]["network"], "rows": {size: found[size]["row"] for size in found}}
    with atomic_path(folder / f"{dataset}.safetensors") as path:
        save_file(tensors, path, {"made_by": json.dumps(made_by)})


def weights(found):
    """The weights of checkpoints, a dict by size, as float16 tensors by name; those that all sizes share, once."""
    states = {size: state_of(checkpoint) for size, checkpoint in found.items()}
    first = states[LATENT_DIMS[0]]
    shared = {key for key in first if all(torch.equal(first[key], state[key]) for state in states.values())}
    tensors = {f"all/{key}": first[key] for key in shared}
    tensors |= {f"{size}/{key}": state[key] for size, state in states.items() for key in state if key not in shared}
    return {key: (x.half() if x.is_floating_point() else x).contiguous() for key, x in sorted(tensors.items())}


def state_of(checkpoint):
    """The tensors of a checkpoint's autoencoder and of its classifier in one dict, by name."""
    parts = {"autoencoder": checkpoint["state"], "classifier": checkpoint["classifier"]}
    return {f"{name}/{key}": value for name, part in parts.items() for key, value in part.items()}


def codecs(dataset):
    """What the codes of every size are coded under, float64 tensors by name, fitted to training images."""
    images, tensors = load_dataset(dataset).split("train")[0][:FITTED_TO], {}
    for size in LATENT_DIMS:
        codec = fit_codec(load_autoencoder(Experiment(dataset, AUTOENCODER, size)), images)
        tensors |= {f"{size}/codec/{part}": torch.from_numpy(getattr(codec, part)) for part in CODED_UNDER}
    return tensors


if __name__ == "__main__":
    for name in CLASSES:
        save_pretrained(name)
