"""A page on this machine: pick a picture and a number d, and see what a code of d numbers keeps of it.

`make demo` starts it, on the pretrained models. Nothing leaves the machine.
"""

import os
import sys
import tempfile
import warnings
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that `src` is found without an installation
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
OWN_FILES = tempfile.TemporaryDirectory(prefix="gradio-")  # until the page ends; another user may own the usual folder
os.environ.setdefault("GRADIO_TEMP_DIR", OWN_FILES.name)
# the page asks itself whether it is there, which a proxy must not answer
os.environ["no_proxy"] = ",".join(filter(None, [os.environ.get("no_proxy"), "localhost,127.0.0.1"]))

import gradio as gr
import numpy as np
import torch
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from src.classifier import predict_logits
from src.codec import HEADER, pack_codes, read_codes
from src.data_loader import CLASSES, DataUnavailableError, load_dataset
from src.encode import decode_codes, encode_images
from src.images import prepare_images
from src.pretrained import LATENT_DIMS, load_pretrained

KNOWN, SHOWN = 2_000, 10  # training images that are searched, and shown
STEPS = (None, 0.125, 0.25, 0.5, 1.0, 2.0)  # of quantisation
SCALE = 8  # pixels of the page for one of a picture


@cache
def training_images(dataset):
    """Some training images of a data set, or the embedded sample's; None where there are none on this machine."""
    with warnings.catch_warnings(action="ignore"):  # that it is the sample
        try:
            return load_dataset(dataset, download=False).split("train")[0][:KNOWN]
        except DataUnavailableError:
            return None


@cache
def trained(dataset, size):
    return load_pretrained(dataset, size)


@cache
def codes(dataset, size):
    return normalize(encode_images(trained(dataset, size).autoencoder, training_images(dataset)))


@cache
def pca():
    """The principal components of training images of CIFAR-10, as many as the largest code has numbers."""
    return PCA(LATENT_DIMS[-1], svd_solver="randomized", random_state=0).fit(_flat(training_images("CIFAR10")))


def by_pca(images, size):
    """What PCA's code of `size` numbers keeps of images."""
    scores = pca().transform(_flat(images))[:, :size]
    return (scores @ pca().components_[:size] + pca().mean_).clip(0, 1).reshape(images.shape)


def quantised(z, dataset, size, coarse):
    """A code as it is after quantisation by the `coarse`-th step, and the bytes that it takes then, without a header."""
    if not coarse:
        return z, z.nbytes
    codec = trained(dataset, size).codec
    stream = pack_codes(z, codec, STEPS[coarse])
    return codec.dequantise(*read_codes(stream, codec)), len(stream) - HEADER.size - 4


def show(picture, dataset, step, coarse=0):
    """What the page shows of a picture at the `step`-th size: three pictures, each with its caption, and the class."""
    if picture is None:
        return [None, ""] * 3 + [{}]
    image, size = prepared(picture), LATENT_DIMS[step - 1]
    model, found = trained(dataset, size), [enlarged(image[0]), "its 32 x 32 pixels,<br>3,072 numbers"]
    z, count = quantised(encode_images(model.autoencoder, image), dataset, size, coarse)
    kept = {
        f"half pixels, half features<br>{count} bytes": decode_codes(model.autoencoder, z),
        "PCA": by_pca(image, size),
    }
    for name, images in kept.items():
        error = np.square(images - image / 255).mean()
        found += [enlarged(images[0]), f"{size} numbers, {name}<br>MSE {error:.4f}"]
    probabilities = torch.from_numpy(predict_logits(model.classifier, z)).softmax(1)[0].tolist()
    return [*found, dict(zip(model.classes, probabilities, strict=True))]


def neighbours(picture, dataset, step):
    """The training images whose codes are nearest to that of a picture, side by side; None where there are none."""
    known, size = training_images(dataset), LATENT_DIMS[step - 1]
    if picture is None or known is None:
        return None
    own = normalize(encode_images(trained(dataset, size).autoencoder, prepared(picture)))
    nearest = NearestNeighbors(n_neighbors=SHOWN).fit(codes(dataset, size))
    return enlarged(np.hstack(known[nearest.kneighbors(own, return_distance=False)[0]]))


def prepared(picture):
    try:
        return prepare_images(picture)
    except ValueError as error:
        raise gr.Error(str(error)) from error


def _flat(images):
    return images.reshape(len(images), -1) / np.float32(255)


def enlarged(image):
    image = image if image.dtype == np.uint8 else np.rint(255 * image).astype(np.uint8)
    return Image.fromarray(image).resize((image.shape[1] * SCALE, 32 * SCALE), Image.Resampling.NEAREST)


def build():
    """The page."""
    test, sizes = load_dataset("CIFAR10", sample=True).x_test, ", ".join(map(str, LATENT_DIMS))
    with gr.Blocks(title="What a code of d numbers keeps") as page:
        gr.Markdown("# What does a code of *d* numbers keep of a picture, and of its class?")
        with gr.Row():
            with gr.Column(scale=1):
                picture = gr.Image(type="pil", label="a picture", sources=["upload", "clipboard"], height=256)
                examples = [enlarged(image) for image in test[:8]]
                gr.Examples(examples, picture, label="test images of CIFAR-10", cache_examples=False)
                step = gr.Slider(
                    1, len(LATENT_DIMS), len(LATENT_DIMS), step=1, label=f"size of the code, 1 to 4: d = {sizes}"
                )
                coarse = gr.Slider(
                    0, len(STEPS) - 1, 0, step=1, label="rounding of the code: 0, none, is 4 bytes a number"
                )
                dataset = gr.Radio([*CLASSES], value="CIFAR10", label="trained on")
            with gr.Column(scale=2):
                kept, look = [], {"show_label": False, "buttons": [], "interactive": False}
                with gr.Row():
                    for name in ("pixels", "code", "pca"):
                        with gr.Column(min_width=160):
                            kept += [gr.Image(elem_id=name, **look), gr.Markdown()]
                probable = gr.Label(
                    num_top_classes=5, elem_id="class", label="the class, read from the code by the MLP probe"
                )
                gr.Markdown("Training images with the nearest codes:")
                near = gr.Image(**look)
        inputs = [picture, dataset, step]
        for part in (*inputs, coarse):
            part.change(show, [*inputs, coarse], [*kept, probable])
        for part in inputs:
            part.change(neighbours, inputs, near)
    return page


if __name__ == "__main__":
    print("Stop the page with Ctrl-C")
    build().launch(inbrowser="--no-browser" not in sys.argv, show_error=True)
