"""Latent codes in real bytes: quantised, and entropy-coded under one normal distribution per number. Needs `pip install constriction`.

Uniform quantisation with entropy coding is within a quarter of a bit per number of the optimum (Gish & Pierce 1968,
https://doi.org/10.1109/TIT.1968.1054193). The range coder is constriction's (https://bamler-lab.github.io/constriction).
"""

import math
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from src.encode import decode_codes, device_of, encode_images
from src.utils import check_latents, fingerprint

MAGIC, HEADER = b"AECODE1\n", struct.Struct("<8s16sdI")  # magic and version, fingerprint, step, count of images
FITTED_TO = 10_000  # training images, of the codecs of the study
LIMIT = 4000  # quantised numbers lie in -LIMIT to LIMIT
LEAST_STD = 0.6  # of a number in its unit, so that one for features, which the image hardly shows, is kept, too
CONSTANT = 1e-6  # the standard deviation that a number without one has; a spread this small beside its mean is rounding
FAR = 100  # standard deviations: the mean of a number that lies further from 0 is subtracted before it is quantised


class StreamError(ValueError):
    """A stream is damaged, cut off, of another kind or of another model; the message says which."""


@dataclass(frozen=True)
class Codec:
    """An autoencoder with what its codes are coded under: of each number its unit, mean and standard deviation, float64 (d,).

    `unit` is what a number is multiplied by before it is divided by the step: what a change of 1 adds to the square root of an image's
    summed squared error, at least LEAST_STD / `std`; with `equal_steps` of `fit_codec`, a constant over `std`. Whoever decodes
    needs the same Codec to the last bit.
    """

    autoencoder: nn.Module
    unit: np.ndarray
    mean: np.ndarray
    std: np.ndarray

    @property
    def fingerprint(self):
        """A checksum of the autoencoder as it is now and of what its codes are coded under, 16 hexadecimal digits."""
        weights = (value.cpu().numpy() for value in self.autoencoder.state_dict().values())
        return fingerprint(self.unit, self.mean, self.std, *weights)

    @property
    def offset(self):
        """What is subtracted from each number, float64 (d,): the mean where it is constant or far from 0, else 0."""
        is_far = (self.std <= CONSTANT) | (np.abs(self.mean) > FAR * self.std)
        return np.where(is_far, self.mean, 0)

    def quantise(self, z, step):
        """Codes, float (N, d), as integers, int32 (N, d); ValueError where one is not in -LIMIT to LIMIT."""
        with np.errstate(over="ignore", invalid="ignore"):  # what becomes infinite is refused
            whole = np.rint((check_latents(z) - self.offset) * (self.unit / step))
        if not np.abs(whole).max() <= LIMIT:  # written so that NaN fails too
            raise ValueError(f"a step of {step!r} is too small for these codes; take a larger one")
        return whole.astype(np.int32)

    def dequantise(self, whole, step):
        """Integers, int32 (N, d), as codes, float32 (N, d)."""
        return (whole * (step / self.unit) + self.offset).astype(np.float32)


def fit_codec(autoencoder, images, equal_steps=False):
    """The Codec of a trained autoencoder with a decoder, fitted to uint8 training images (N, 32, 32, 3).

    The step of each number follows from what the number does to the image: the fewest bytes for an error. With `equal_steps` it
    is the same part of each number's standard deviation, which keeps more of what the image does not show, such as the class.
    A number that is constant on them, as of a dead unit, costs next to nothing; its unit is that of one with a spread of 1, so
    that another value of it can be coded as well.
    """
    z = encode_images(autoencoder, images)
    mean, std = z.mean(0, dtype=np.float64), z.std(0, dtype=np.float64)
    is_constant = std <= CONSTANT * np.maximum(1, np.abs(mean))
    spread = np.where(is_constant, 1, std)
    sensitivity = _sensitivity(autoencoder, z[:200], 0.25 * spread)
    if equal_steps:
        # a step adds as much error to an image as one of the other kind does, as a mean over the numbers
        unit = np.sqrt(np.mean(np.square(sensitivity * spread))) / spread
    else:
        unit = np.maximum(sensitivity, LEAST_STD / spread)
    return Codec(autoencoder, unit, mean, np.where(is_constant, CONSTANT, std))


def compress(images, codec, step=0.25):
    """uint8 images (N, 32, 32, 3) as one stream of bytes: 40 of a header, and the codes of all images.

    `step` is that of quantisation, in units of the square root of an image's summed squared error, on pixels in [0, 1]: an
    image's error grows by about `step`**2 d / 12.
    """
    return pack_codes(encode_images(codec.autoencoder, images), codec, step)


def pack_codes(z, codec, step):
    """Codes, float (N, d), as one stream; all else is as in `compress`."""
    if not 0 < step < math.inf:
        raise ValueError(f"step must be a finite positive number, not {step!r}")
    whole = codec.quantise(z, step)
    encoder = _constriction().stream.queue.RangeEncoder()
    encoder.encode(whole.ravel(), *_distribution(codec, step, len(whole)))
    payload = encoder.get_compressed().astype("<u4").tobytes()
    body = HEADER.pack(MAGIC, codec.fingerprint.encode(), step, len(whole)) + payload
    return body + struct.pack("<I", zlib.crc32(body))


def decompress(data, codec):
    """The images of a stream that `compress` made with the same Codec, float32 (N, 32, 32, 3) in [0, 1]; else a StreamError."""
    return decode_codes(codec.autoencoder, codec.dequantise(*read_codes(data, codec)))


def read_codes(data, codec):
    """The quantised codes of a stream, int32 (N, d), and the step; StreamError where it is not what `compress` made."""
    data = bytes(data)
    if not data.startswith(MAGIC):
        raise StreamError("this is no stream of codes, or one of another version")
    if len(data) < HEADER.size + 4 or zlib.crc32(data[:-4]) != struct.unpack("<I", data[-4:])[0]:
        raise StreamError("the stream is damaged or cut off")
    _, made_by, step, count = HEADER.unpack_from(data)
    if made_by != codec.fingerprint.encode():
        raise StreamError(f"the stream is of another model, {made_by.decode()}, not of this one, {codec.fingerprint}")
    payload = np.frombuffer(data[HEADER.size : -4], "<u4").astype(np.uint32)
    whole = _constriction().stream.queue.RangeDecoder(payload).decode(*_distribution(codec, step, count))
    return whole.reshape(count, -1), step


def _distribution(codec, step, count):
    """The normal distribution of every quantised number of `count` images, as constriction takes it."""
    family = _constriction().stream.model.QuantizedGaussian(-LIMIT, LIMIT)
    scale = codec.unit / step
    return family, np.tile((codec.mean - codec.offset) * scale, count), np.tile(codec.std * scale, count)


@torch.no_grad()
def _sensitivity(autoencoder, z, change):
    """Of each number, the square root of the image's summed squared error for a change of one, from small changes (d,)."""
    z, device = torch.from_numpy(z).to(device_of(autoencoder)), device_of(autoencoder)
    before, found = autoencoder.decode(z), []
    for i, size in enumerate(change):
        moved = z.clone()
        moved[:, i] += torch.where(torch.arange(len(z), device=device) % 2 == 0, size, -size)
        error = (autoencoder.decode(moved) - before).square().sum((1, 2, 3)).mean()
        found.append(error.sqrt().item() / size)
    return np.array(found)


def _constriction():
    try:
        import constriction
    except ImportError as error:
        raise ImportError("latent codes are coded by the package constriction: pip install constriction") from error
    return constriction
