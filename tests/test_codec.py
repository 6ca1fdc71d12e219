"""Codes in bytes: the same integers come back, in few bytes, and nothing else comes back from what was damaged."""

import subprocess
import sys

import numpy as np
import pytest

from src.autoencoder import build_autoencoder
from src.codec import HEADER, StreamError, compress, decompress, fit_codec, read_codes
from src.encode import encode_images, reconstruct_images
from src.utils import ROOT

pytest.importorskip("constriction")


@pytest.fixture(scope="module")
def codec(tiny):
    model = build_autoencoder("conv", 6)
    model.initialise(tiny.x_train)
    return fit_codec(model, tiny.x_train)


@pytest.mark.parametrize("step", [0.05, 0.3, 3.0])
def test_the_integers_come_back_and_a_step_costs_what_it_says(codec, tiny, step):
    whole, found = read_codes(compress(tiny.x_test, codec, step), codec)
    z = encode_images(codec.autoencoder, tiny.x_test)
    assert found == step and whole.dtype == np.int32
    assert np.array_equal(whole, np.rint(z * (codec.unit / step)))
    assert np.abs(codec.dequantise(whole, step) - z).max() <= 0.51 * (step / codec.unit).max()


def test_the_images_are_those_of_the_quantised_codes(codec, tiny):
    kept, images = (
        reconstruct_images(codec.autoencoder, tiny.x_test),
        decompress(compress(tiny.x_test, codec, 0.05), codec),
    )
    assert images.shape == kept.shape and images.dtype == np.float32
    added = np.square(images - kept).sum((1, 2, 3)).mean()
    assert 0 < added < 1.2 * 6 * 0.05**2 / 12  # less where a number has a smaller unit than the image would give it


def test_a_stream_is_as_short_as_its_entropy(codec, tiny):
    data, step = compress(tiny.x_train, codec, 0.1), 0.1
    whole, _ = read_codes(data, codec)
    bits = 0
    for column in whole.T:
        counts = np.unique(column, return_counts=True)[1]
        bits -= (counts * np.log2(counts / counts.sum())).sum()
    normal = (np.log2(codec.std * codec.unit / step) + 0.5 * np.log2(2 * np.pi * np.e)).sum() * len(whole)
    assert 0.98 * bits < 8 * (len(data) - HEADER.size - 8) < 1.02 * normal + 64


def test_a_thousand_damaged_streams_are_all_found_out(codec, tiny):
    data, rng = compress(tiny.x_test, codec), np.random.default_rng(0)
    for _ in range(1000):
        damaged = bytearray(data)
        for position in rng.integers(len(data), size=rng.integers(1, 4)):
            damaged[position] ^= rng.integers(1, 256)
        cut = damaged[: rng.integers(len(data) + 1)] if rng.random() < 0.3 else damaged
        if bytes(cut) != data:
            with pytest.raises(StreamError, match=r"damaged or cut off|no stream of codes"):
                read_codes(cut, codec)


def test_another_model_and_another_kind_are_refused(codec, tiny):
    other = build_autoencoder("conv", 6)
    other.initialise(tiny.x_train)
    other = fit_codec(other, tiny.x_train[:100])
    with pytest.raises(StreamError, match=f"another model, {codec.fingerprint}, not of this one, {other.fingerprint}"):
        decompress(compress(tiny.x_test, codec), other)
    for data in (b"", b"RIFF1234WEBP", b"AECODE2\n" + bytes(50)):
        with pytest.raises(StreamError, match="no stream of codes"):
            decompress(data, codec)


@pytest.mark.parametrize(
    ("step", "message"), [(0, "finite positive"), (np.nan, "finite positive"), (1e-6, "too small")]
)
def test_a_step_that_cannot_be_is_refused(codec, tiny, step, message):
    with pytest.raises(ValueError, match=message):
        compress(tiny.x_test, codec, step)


SCRIPT = """
import sys, numpy as np, torch
torch.set_num_threads(1)
from src.autoencoder import build_autoencoder
from src.codec import compress, fit_codec, read_codes
images = np.random.default_rng(0).integers(0, 256, (300, 32, 32, 3), dtype=np.uint8)
model = build_autoencoder("conv", 5)
model.initialise(images)
codec, path = fit_codec(model, images), sys.argv[1]
if sys.argv[2] == "write":
    open(path, "wb").write(compress(images, codec))
else:
    expected, _ = read_codes(compress(images, codec), codec)
    assert np.array_equal(read_codes(open(path, "rb").read(), codec)[0], expected)
"""


def test_another_process_reads_the_same(tmp_path):
    for what in ("write", "read"):
        subprocess.run([sys.executable, "-c", SCRIPT, tmp_path / "stream", what], check=True, cwd=ROOT)
