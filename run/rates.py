"""How many bytes one image takes, as a quantised code and in the formats of the web, beside what is kept of it.

Rows, their figure and their tables, for the notebook `bytes`.
"""

import io
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from PIL import Image, features

from src.classifier import class_bits, evaluate_classifier, fit_temperature, predict_logits
from src.codec import FITTED_TO, fit_codec, pack_codes, read_codes
from src.encode import decode_codes, encode_images
from src.report.style import colour, label, label_ends

STEPS = (0.125, 0.25, 0.5, 1.0, 2.0)
WIDEST = 200  # bytes, the end of the axis
IMAGES = 1_000  # test images that codes and formats are measured on
SMALLEST = {  # what makes the smallest files of a quality
    "webp": {"method": 6},
    "avif": {"speed": 0, "subsampling": "4:4:4"},
    "jpeg": {"optimize": True, "subsampling": "4:2:0"},
}
KEY = ["dataset", "name", "latent_dim", "equal_steps"]
QUALITIES = (0, 10, 20, 30, 50, 90)
CONTAINER = {  # how many bytes of a file hold no part of the image
    "webp": lambda file: 30,  # those of RIFF, of the chunk and of the frame
    "avif": lambda file: len(file) - int.from_bytes(file[file.index(b"mdat") - 4 :][:4]) + 8,
    "jpeg": lambda file: file.index(b"\xff\xda") + 14 + 2,  # all before the scan, its header, and the end
}


def code_rates(autoencoder, dataset, name, classifier=None, steps=STEPS, count=IMAGES):
    """Of a trained autoencoder with a decoder: a row for each kind and size of step, and one without, on test images in one stream.

    Columns: `dataset`, `name`, `latent_dim`, `equal_steps` (see `fit_codec`), `step`, `bytes` an image, `mse`, `accuracy` of `classifier`, an MLP probe on the
    code, where it is given, and `class_bits`, its temperature from validation images, `bits` per number. Without quantisation `step` is 0 and a
    number has 32 bits. Raises ValueError where a step is not a finite positive number, or too small for the codes.
    """
    test, truth = (part[:count] for part in dataset.split("test"))
    images = dataset.split("train")[0][:FITTED_TO]
    codecs = {equal_steps: fit_codec(autoencoder, images, equal_steps) for equal_steps in (False, True)}
    z, rows = encode_images(autoencoder, test), []
    if classifier:
        held_out, labels = dataset.split("validation")
        temperature = fit_temperature(predict_logits(classifier, encode_images(autoencoder, held_out)), labels)
    for equal_steps, step in [(False, 0), *product(codecs, steps)]:
        codec = codecs[equal_steps]
        stream = pack_codes(z, codec, step) if step else z.tobytes()
        kept = codec.dequantise(*read_codes(stream, codec)) if step else z
        row = {"dataset": dataset.name, "name": name, "latent_dim": z.shape[1], "equal_steps": equal_steps}
        row |= {"step": step, "bytes": len(stream) / len(test), "mse": _error(decode_codes(autoencoder, kept), test)}
        if classifier:
            row["accuracy"] = evaluate_classifier(classifier, kept, truth)["accuracy"]
            row["class_bits"] = class_bits(predict_logits(classifier, kept) / temperature, truth)
        rows.append(row | {"bits": 8 * row["bytes"] / z.shape[1]})
    return pd.DataFrame(rows)


def format_rates(dataset, count=IMAGES, qualities=QUALITIES):
    """The first `count` test images in the formats of the web that Pillow can write here, each as small as it can, one row per format and quality.

    Columns: `dataset`, `name`, `quality`, `bytes` an image, `payload`, those of them that are not the container's, and `mse`.
    """
    images = dataset.split("test")[0][:count]
    names = [name for name in CONTAINER if features.check(name.replace("jpeg", "jpg"))]
    jobs = [delayed(_format_row)(images, name, quality) for name, quality in product(names, qualities)]
    return pd.DataFrame(Parallel(n_jobs=-1)(jobs)).assign(dataset=dataset.name)


def _format_row(images, name, quality):
    files = [_as_file(image, name, quality=quality, **SMALLEST[name]) for image in images]
    kept = np.stack([np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files])
    row = {"name": name, "quality": quality, "mse": _error(kept / np.float32(255), images)}
    row["bytes"] = np.mean([len(file) for file in files])
    return row | {"payload": np.mean([len(file) - CONTAINER[name](file) for file in files])}


def _as_file(image, name, **how):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, name, **how)
    return buffer.getvalue()


def _error(kept, images):
    """The MSE of images in [0, 1] against uint8 ones."""
    parts = zip(np.array_split(kept, 20), np.array_split(images, 20), strict=True)
    return np.concatenate([np.square(a - b / np.float32(255)).mean((1, 2, 3)) for a, b in parts]).mean().item()


def draw_rates(codes, formats, dataset, title="What a code costs in bytes"):
    """Error of the image, and bits of the class by the MLP probe, against bytes per image: the best of all sizes and steps of each code.

    `codes` and `formats` are rows of `code_rates` and `format_rates`, formats without their containers; dashed are codes of features with
    steps that are equal parts of each number's spread.
    """
    figure, (image, of_class) = plt.subplots(1, 2, figsize=(9.6, 4.2))
    ends = {image: [], of_class: []}
    quantised = codes[(codes.dataset == dataset) & (codes.step > 0)]
    for (name, equal_steps), rows in quantised.groupby(["name", "equal_steps"]):
        if equal_steps and name in ("pca", "conv", "vae"):
            continue  # which changes little where the image shows every number
        style = {"color": colour(name), "ls": "--" if equal_steps else "-"}
        for ax, values in {image: -1000 * rows.mse, of_class: rows.get("class_bits")}.items():
            if values is not None and values.notna().any():
                line = envelope(rows.bytes, values).abs()
                ax.plot(line.index, line, **style)
                if not equal_steps:
                    ends[ax].append((WIDEST, line.iloc[-1], label(name), colour(name)))
    for name, rows in formats[(formats.dataset == dataset) & (formats.payload < 1.2 * WIDEST)].groupby("name"):
        image.plot(rows.payload, 1000 * rows.mse, color="#444444", lw=0.9, ls=":")
        ends[image].append((WIDEST, 1000 * rows.mse.min(), name, "#444444"))
    image.set(yscale="log", ylabel="test MSE (10$^{-3}$, log scale)", title="the image (less is better)")
    image.yaxis.set_major_formatter("{x:g}")
    of_class.set(ylabel="bits of the class, MLP probe", title="the class (more is better)", ylim=(0, None))
    for ax, lines in ends.items():
        ax.set(xscale="log", xlabel="bytes per image (log scale)", xlim=(2, WIDEST))
        ax.xaxis.set_ticks(ticks := [2, 5, 10, 20, 50, 100, 200], map(str, ticks))
        ax.minorticks_off()
        label_ends(ax, lines)
    figure.suptitle(f"{title} ({dataset}; dashed: equal steps)")
    return figure


def envelope(counts, values):
    """The largest value that is reached at a number of bytes or below, by number, in steps where it grows."""
    best = pd.Series(values.to_numpy(), counts).sort_index().cummax()
    return best[~best.duplicated()]


def rate_table(codes, bits=(4, 3, 2)):
    """What is lost at a few bits per number: per cent of error gained, and points of accuracy lost, between the steps measured."""
    lines = {}
    for (dataset, name, size, equal_steps), rows in codes[codes.step > 0].groupby(KEY, sort=False):
        of_code = (codes.dataset == dataset) & (codes.name == name) & (codes.latent_dim == size)
        exact, rows = codes[of_code & (codes.step == 0)].iloc[0], rows.sort_values("bits")
        line = lines[dataset, label(name), size, "equal" if equal_steps else "by the image"] = {}
        for number in [number for number in bits if rows.bits.min() <= number <= rows.bits.max()]:
            mse, accuracy = (np.interp(number, rows.bits, rows[column]) for column in ("mse", "accuracy"))
            lost = f"{100 * (mse / exact.mse - 1):+.0f} %, {100 * (accuracy - exact.accuracy):+.1f}"
            line[f"{number} bits"] = lost
    frame = pd.DataFrame.from_dict(lines, orient="index").fillna("")
    return frame.rename_axis(index=["data set", "code", "d", "steps"])


def format_table(formats):
    """Bytes an image and MSE (thousandths) of the formats of the web, by quality."""
    texts = {"bytes": formats.bytes, "without the container": formats.payload, "MSE": 1000 * formats.mse}
    frame = pd.DataFrame({name: values.map("{:.1f}".format) for name, values in texts.items()})
    frame.index = pd.MultiIndex.from_frame(formats[["dataset", "name", "quality"]])
    return frame.rename_axis(index=["data set", "format", "quality"])
