"""Codes in bytes: the same integers come back, in few bytes, and nothing else comes back from what was damaged."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from src.autoencoder import build_autoencoder
from src.codec import HEADER, Codec, StreamError, compress, decompress, fit_codec, pack_codes, read_codes
from src.encode import decode_codes, encode_images, reconstruct_images
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
    ("step", "message"),
    [(0, "finite positive"), (np.nan, "finite positive"), (1e-6, "too small"), (1e-310, "too small")],
)
def test_a_step_that_cannot_be_is_refused(codec, tiny, step, message):
    with pytest.raises(ValueError, match=message):
        compress(tiny.x_test, codec, step)


@pytest.mark.parametrize("value", [0, 1e-4, 5, 1e4])
@pytest.mark.parametrize("step", [0.05, 0.25, 3.0])
def test_a_constant_number_comes_back_by_its_value_and_costs_next_to_nothing(tiny, value, step):
    model = dead_unit(tiny, value)
    codec, z = fit_codec(model, tiny.x_train), encode_images(model, tiny.x_test)
    data = compress(tiny.x_test, codec, step)
    kept = codec.dequantise(*read_codes(data, codec))
    assert np.ptp(z[:, 2]) == 0 and np.array_equal(kept[:, 2], z[:, 2])
    assert np.array_equal(decompress(data, codec), decode_codes(model, kept))
    parts = (np.delete(part, 2) for part in (codec.unit, codec.mean, codec.std))
    assert len(data) <= len(pack_codes(np.delete(z, 2, 1), Codec(model, *parts), step)) + 4


def test_a_number_that_was_constant_in_training_may_have_another_value(tiny):
    codec = fit_codec(dead_unit(tiny, 5), tiny.x_train)
    z = encode_images(codec.autoencoder, tiny.x_test)
    z[0, 2] += 3
    kept = codec.dequantise(*read_codes(pack_codes(z, codec, 0.25), codec))
    assert np.abs(kept - z).max() <= 0.51 * (0.25 / codec.unit).max()


@pytest.mark.parametrize("spread", [1e-6, 1e-5, 1e-3])
def test_a_number_far_from_0_beside_its_spread_can_be_coded(tiny, spread):
    model = dead_unit(tiny, 5)
    with torch.no_grad():
        model.to_code.weight[2, 0] = spread
    codec, z = fit_codec(model, tiny.x_train), encode_images(model, tiny.x_test)
    kept = codec.dequantise(*read_codes(pack_codes(z, codec, 0.25), codec))
    assert np.abs(kept - z)[:, 2].max() <= max(0.51 * z[:, 2].std(), 1e-5)


def dead_unit(tiny, value):
    """An autoencoder whose third number is `value`, or close to it, for every image."""
    model = build_autoencoder("conv", 6)
    model.initialise(tiny.x_train)
    with torch.no_grad():
        model.to_code.weight[2] = 0
        model.to_code.bias[2] = value * model.scale[2]
    return model


def test_more_training_makes_another_model(tiny):
    codec = fit_codec(dead_unit(tiny, 0), tiny.x_train)
    data, before = compress(tiny.x_test, codec), codec.fingerprint
    with torch.no_grad():
        codec.autoencoder.to_image.bias += 0.01
    assert codec.fingerprint != before
    with pytest.raises(StreamError, match="another model"):
        decompress(data, codec)


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


def test_equal_steps_are_the_same_part_of_each_numbers_spread(tiny):
    model = build_autoencoder("features_50", 6)
    model.initialise(tiny.x_train)
    by_image, equal = (fit_codec(model, tiny.x_train, equal_steps) for equal_steps in (False, True))
    assert np.ptp(equal.unit * equal.std) == pytest.approx(0, abs=1e-9) and np.ptp(by_image.unit * by_image.std) > 0.01
    z = encode_images(model, tiny.x_test)
    errors = []
    for codec in (by_image, equal):
        whole, _ = read_codes(pack_codes(z, codec, 0.3), codec)
        errors.append((codec.dequantise(whole, 0.3) - z).std(0) / z.std(0))
    assert np.ptp(errors[1]) < np.ptp(errors[0])
