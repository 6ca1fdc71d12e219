"""What ONNX's own runtime makes of an exported model is what torch makes of it."""

import numpy as np
import pytest
import torch

from src import export, features
from src.autoencoder import ConvAutoencoder, build_autoencoder
from src.encode import to_batch
from src.export import export_onnx
from src.pretrained import load_pretrained

ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


class Shifted(ConvAutoencoder):
    """A class that overrides encode and decode themselves."""

    def encode(self, x):
        return super().encode(x) + 2

    def decode(self, z):
        return super().decode(z - 2)


@pytest.mark.pretrained
@pytest.mark.parametrize(
    ("make", "tolerance"),
    [
        (lambda: build_autoencoder("conv", 7), 1e-4),
        (lambda: build_autoencoder("vae", 7), 1e-4),
        (lambda: Shifted(7), 1e-4),
        (lambda: load_pretrained("CIFAR10", 10)[0], 0.02),  # the dictionaries compute in bfloat16 where they can
    ],
)
def test_the_files_do_what_the_model_does_with_any_number_of_images(make, tolerance, tmp_path):
    model = make()
    paths = export_onnx(model, tmp_path)
    assert [path.name for path in paths] == ["encoder.onnx", "decoder.onnx"]
    assert {path.name for path in tmp_path.iterdir()} == {"encoder.onnx", "decoder.onnx"}
    encoder, decoder = map(ort.InferenceSession, paths)
    for count in (1, 5):
        x, z = torch.rand(count, 3, 32, 32), 3 * torch.randn(count, model.latent_dim)
        with torch.no_grad():
            pairs = (encoder, "images", x, model.encode(x)), (decoder, "codes", z, model.decode(z))
        for session, name, given, expected in pairs:
            found = session.run(None, {name: given.numpy()})[0]
            assert found.dtype == np.float32 and found.shape == expected.shape
            np.testing.assert_allclose(found, expected, atol=tolerance)


def test_features_are_computed_in_float32(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "has_bfloat16", lambda device: False)
    model = build_autoencoder("features_50", 6)
    model.initialise(tiny.x_train)
    encoder, decoder = map(ort.InferenceSession, export_onnx(model, tmp_path))
    for count in (1, 5, 17):
        x = to_batch(tiny.x_test[:count], "cpu")
        with torch.no_grad():
            z, y = model.encode(x), model(x)
        np.testing.assert_allclose(encoder.run(None, {"images": x.numpy()})[0], z, atol=1e-4)
        np.testing.assert_allclose(decoder.run(None, {"codes": z.numpy()})[0], y, atol=1e-4)


def test_a_pixel_out_of_range_is_clamped(tmp_path):
    model = build_autoencoder("conv", 3)
    with torch.no_grad():
        model.to_image.bias.add_(torch.linspace(-2, 3, len(model.to_image.bias)))
        found = ort.InferenceSession(export_onnx(model, tmp_path)[1]).run(
            None, {"codes": np.zeros((2, 3), np.float32)}
        )[0]
        expected = model.decode(torch.zeros(2, 3))
    assert found.min() == 0 and found.max() == 1
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_model_without_a_decoder_has_the_encoder_alone(tmp_path):
    assert [path.name for path in export_onnx(build_autoencoder("supervised", 10), tmp_path)] == ["encoder.onnx"]


def test_a_missing_package_is_named_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="export_onnx needs onnx and onnxscript: pip install onnx onnxscript"):
        export_onnx(build_autoencoder("conv", 3), tmp_path / "new")
    assert not (tmp_path / "new").exists()
