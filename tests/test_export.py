"""What ONNX's own runtime makes of an exported model is what torch makes of it."""

import numpy as np
import pytest
import torch

from src.autoencoder import build_autoencoder
from src.export import export_onnx
from src.pretrained import load_pretrained

ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.mark.pretrained
@pytest.mark.parametrize("make", [lambda: build_autoencoder("vae", 7), lambda: load_pretrained("CIFAR10", 10)[0]])
def test_the_files_do_what_the_model_does(make, tmp_path):
    model, (x, z) = make(), (torch.rand(3, 3, 32, 32), torch.randn(3, 10))
    z = z[:, : model.latent_dim]
    paths = export_onnx(model, tmp_path, batch=3)
    assert (
        [path.name for path in paths]
        == ["encoder.onnx", "decoder.onnx"]
        == sorted(p.name for p in tmp_path.iterdir())[::-1]
    )
    with torch.no_grad():
        for path, name, given, expected in zip(
            paths, ("images", "codes"), (x, z), (model.encode(x), model.decode(z)), strict=True
        ):
            found = ort.InferenceSession(path).run(None, {name: given.numpy()})[0]
            assert found.dtype == np.float32 and found.shape == expected.shape
            np.testing.assert_allclose(
                found, expected, atol=0.02
            )  # the dictionaries compute in bfloat16 where they can


def test_a_model_without_a_decoder_has_the_encoder_alone(tmp_path):
    assert [path.name for path in export_onnx(build_autoencoder("supervised", 10), tmp_path)] == ["encoder.onnx"]
