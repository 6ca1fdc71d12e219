"""A trained autoencoder in ONNX, for programs without Python or torch. Needs `pip install onnx onnxscript`."""

from pathlib import Path
from unittest.mock import patch

import torch
from torch import nn

from src.autoencoder import IMAGE_SHAPE
from src.utils import atomic_path


class _Part(nn.Module):
    """The encoder or the decoder of an autoencoder, without the checks of its input."""

    def __init__(self, model, part):
        super().__init__()
        self.model, self.part = model, part

    def forward(self, x):
        result = getattr(self.model, self.part)(x).float()
        return result.clamp(0, 1) if self.part == "decoder" else result


def export_onnx(model, folder, batch=1):
    """Write `encoder.onnx` and `decoder.onnx` of a trained autoencoder to `folder`; returns their paths.

    Both take and give float32: the encoder `images` (batch, 3, 32, 32) in [0, 1] and `codes` (batch, latent_dim), the
    decoder the reverse; `batch` images at a time. A model without a decoder has the first file alone. The model is moved to
    the CPU.
    """
    inputs = {"encoder": torch.rand(batch, *IMAGE_SHAPE)}
    if model.has_decoder:
        inputs["decoder"] = torch.randn(batch, model.latent_dim)
    names, paths = ["images", "codes"], []
    for part, example in inputs.items():
        names = names if part == "encoder" else names[::-1]
        with atomic_path(Path(folder) / f"{part}.onnx") as path, torch.no_grad():
            # ONNX's runtime has no bfloat16 on a CPU
            with patch("src.features.has_bfloat16", return_value=False):
                program = torch.onnx.export(
                    _Part(model.cpu(), part).eval(), (example,), input_names=names[:1], output_names=names[1:],
                    dynamo=True, verbose=False,
                )  # fmt: skip
            program.save(path, external_data=False)
        paths.append(Path(folder) / f"{part}.onnx")
    return paths
