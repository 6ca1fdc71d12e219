"""A trained autoencoder in ONNX, for programs without Python or torch. Needs `pip install onnx onnxscript`."""

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from src.autoencoder import IMAGE_SHAPE
from src.utils import atomic_path


class _Part(nn.Module):
    """The encoder or the decoder of an autoencoder as a module."""

    def __init__(self, function, model):
        super().__init__()
        self.model, self.function = model, function  # the model, whose weights are exported

    def forward(self, x):
        return self.function(x)


def export_onnx(model, folder):
    """Write `encoder.onnx` and `decoder.onnx` of a trained autoencoder to `folder`; returns their paths.

    Both take and give float32, any number of images at a time: the encoder `images` (N, 3, 32, 32) in [0, 1] and `codes`
    (N, latent_dim), the decoder the reverse. A model without a decoder has the first file alone. The model is moved to the CPU.
    Raises ImportError where onnx or onnxscript is missing.
    """
    if missing := [name for name in ("onnx", "onnxscript") if not find_spec(name)]:
        raise ImportError(f"export_onnx needs {' and '.join(missing)}: pip install {' '.join(missing)}")
    model, folder = model.cpu().eval(), Path(folder).expanduser()
    paths = [
        _write(_Part(model.encode, model), torch.rand(2, *IMAGE_SHAPE), "images", "codes", folder / "encoder.onnx")
    ]
    if model.has_decoder:
        z = torch.randn(2, model.latent_dim)
        paths.append(_write(_Part(model.decode, model), z, "codes", "images", folder / "decoder.onnx"))
    return paths


def _write(part, example, given, wanted, path):
    """Export a module with one input and one output, whose first dimension is free."""
    with atomic_path(path) as temporary, torch.no_grad():
        program = torch.onnx.export(
            part.eval(), (example,), input_names=[given], output_names=[wanted],
            dynamic_shapes=({0: torch.export.Dim("N")},), dynamo=True, verbose=False,
        )  # fmt: skip
        program.save(temporary, external_data=False)
    return path
