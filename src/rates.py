"""How many bytes an image takes, as a quantised code and in the formats of the web, beside what is kept of it."""

import io

import numpy as np
import pandas as pd
from PIL import Image, features

from src.classifier import evaluate_classifier
from src.codec import FITTED_TO, fit_codec, pack_codes, read_codes
from src.encode import decode_codes, encode_images

STEPS = (0.125, 0.25, 0.5, 1.0, 2.0)
QUALITIES = (0, 2, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90)
CONTAINER = {  # how many bytes of a file hold no part of the image
    "webp": lambda file: 30,  # those of RIFF, of the chunk and of the frame
    "avif": lambda file: len(file) - int.from_bytes(file[file.index(b"mdat") - 4 :][:4]) + 8,
    "jpeg": lambda file: file.index(b"\xff\xda") + 14 + 2,  # all before the scan, its header, and the end
}


def code_rates(autoencoder, dataset, name, classifier=None, steps=STEPS):
    """Of a trained autoencoder with a decoder: a row a step of quantisation, and one without, on all test images in one stream.

    Columns: `dataset`, `name`, `latent_dim`, `step`, `bytes` an image, `mse`, `accuracy` of `classifier`, an MLP probe on the
    code, where it is given, `bits` per number. Without quantisation `step` is 0 and a number has 32 bits. Raises ValueError
    where a step is not a finite positive number, or too small for the codes.
    """
    test, truth = dataset.split("test")
    codec = fit_codec(autoencoder, dataset.split("train")[0][:FITTED_TO])
    z, rows = encode_images(autoencoder, test), []
    for step in (0, *steps):
        stream = pack_codes(z, codec, step) if step else z.tobytes()
        kept = codec.dequantise(*read_codes(stream, codec)) if step else z
        row = {"dataset": dataset.name, "name": name, "latent_dim": z.shape[1]}
        row |= {"step": step, "bytes": len(stream) / len(test), "mse": _error(decode_codes(autoencoder, kept), test)}
        row |= {"accuracy": evaluate_classifier(classifier, kept, truth)["accuracy"]} if classifier else {}
        rows.append(row | {"bits": 8 * row["bytes"] / z.shape[1]})
    return pd.DataFrame(rows)


def format_rates(dataset, count=300, qualities=QUALITIES):
    """The first `count` test images in the formats of the web that Pillow can write here, a row a format and quality.

    Columns: `dataset`, `name`, `quality`, `bytes` an image, `payload`, those of them that are not the container's, and `mse`.
    """
    images, rows = dataset.split("test")[0][:count], []
    for name in [name for name in CONTAINER if features.check(name.replace("jpeg", "jpg"))]:
        for quality in qualities:
            files = [_as_file(image, name, quality=quality) for image in images]
            kept = np.stack([np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files])
            row = {"dataset": dataset.name, "name": name, "quality": quality}
            row |= {"mse": _error(kept / np.float32(255), images), "bytes": np.mean([len(file) for file in files])}
            rows.append(row | {"payload": np.mean([len(file) - CONTAINER[name](file) for file in files])})
    return pd.DataFrame(rows)


def png_bits_per_dim(images):
    """Mean bits per dimension of uint8 images (N, 32, 32, 3) as PNG files, each with its header."""
    return np.mean([8 * len(_as_file(image, "png")) / image.size for image in images])


def _as_file(image, name, **how):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, name, **how)
    return buffer.getvalue()


def _error(kept, images):
    """The MSE of images in [0, 1] against uint8 ones."""
    parts = zip(np.array_split(kept, 20), np.array_split(images, 20), strict=True)
    return np.concatenate([np.square(a - b / np.float32(255)).mean((1, 2, 3)) for a, b in parts]).mean().item()
