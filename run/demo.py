"""A page on this machine: pick a picture and a number d, and see what three codes of d numbers keep of it.

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
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from src.classifier import predict_logits
from src.codec import HEADER, pack_codes, read_codes
from src.data_loader import load_dataset
from src.encode import decode_codes, encode_images
from src.images import prepare_images
from src.pretrained import BOTH, SIZES, load_pretrained

CODES = {
    "conv": "Convolutional AE",
    BOTH: "Half AE, half features",
    "pca": "PCA",
}  # by the names of their models
LATENT_DIMS = SIZES["CIFAR10", BOTH]
ROUNDING = {"as they are": None, "fine": 0.25, "coarse": 1.0, "very coarse": 2.0}  # the step of quantisation
KNOWN, SHOWN = 2_000, 10  # training images that are searched, and shown
SCALE = 8  # pixels of the page for one of a picture
INTRODUCTION = """## What does a code of *d* numbers keep of a picture, and of its class?
Three codes of the same size, each with the image that is decoded from it and the class that a probe reads from it: on average the autoencoder keeps the
best image, and the code that is half features, learnt without labels, most of the class. Everything runs on this machine."""


@cache
def trained(name, size):
    return load_pretrained("CIFAR10", size, name)


@cache
def training_images():
    """Some training images of CIFAR-10, or of its embedded sample."""
    with warnings.catch_warnings(action="ignore"):  # that it is the sample
        return load_dataset("CIFAR10", download=False).split("train")[0][:KNOWN]


@cache
def known_codes(size):
    return normalize(encode_images(trained(BOTH, size).autoencoder, training_images()))


@cache
def examples():
    """Paths of test images of CIFAR-10, enlarged, by their true class."""
    sample, paths = load_dataset("CIFAR10", sample=True), {}
    for image, label in zip(sample.x_test[:40], sample.y_test[:40], strict=True):
        path = Path(OWN_FILES.name) / f"{sample.classes[label]}.png"
        if path.stem not in paths and len(paths) < 8:
            enlarged(image).save(path)
            paths[path.stem] = str(path)
    return paths


def rounded(z, codec, step):
    """A code as it is after quantisation, and the bytes that it takes then, without a header."""
    if step is None:
        return z, z.nbytes
    stream = pack_codes(z, codec, step)
    return codec.dequantise(*read_codes(stream, codec)), len(stream) - HEADER.size - 4


def kept(image, name, size, step):
    """What a code keeps of an image, uint8 (1, 32, 32, 3): the image, a caption, and the probabilities of the classes."""
    model = trained(name, size)
    z, count = rounded(encode_images(model.autoencoder, image), model.codec, step)
    decoded = decode_codes(model.autoencoder, z)
    error = 1000 * np.square(decoded - image / 255).mean()
    caption = f"error {error:.1f} thousandths<br>{8 * count / size:.0f} bits per number: {count} bytes"
    probabilities = torch.from_numpy(predict_logits(model.classifier, z)).softmax(1)[0].tolist()
    return decoded[0], caption, dict(zip(model.classes, probabilities, strict=True))


def truth_of(path):
    """What the class of an example is; nothing for a picture of one's own."""
    content = Path(path).read_bytes()
    known = [name for name, example in examples().items() if Path(example).read_bytes() == content]
    return f"a test image, class: {known[0]}" if known else ""


def show(path, size, rounding, with_all=False):
    """All that the page shows of a picture: its pixels and true class; of each code the image, the caption and the class; the neighbours; all sizes."""
    if path is None:
        return [None, ""] + [None, "", {}] * len(CODES) + [None, gr.Image(visible=False)]
    try:
        image = prepare_images(path)
    except ValueError as error:
        raise gr.Error(str(error), print_exception=False) from error
    found = [enlarged(image[0]), truth_of(path)]
    for name in CODES:
        decoded, *rest = kept(image, name, size, ROUNDING[rounding])
        found += [enlarged(decoded), *rest]
    sizes = gr.Image(all_sizes(image, ROUNDING[rounding]), visible=True) if with_all else gr.Image(visible=False)
    return [*found, neighbours(image, size), sizes]


def neighbours(image, size):
    """The training images whose codes are nearest to that of an image, side by side."""
    own = normalize(encode_images(trained(BOTH, size).autoencoder, image))
    nearest = NearestNeighbors(n_neighbors=SHOWN).fit(known_codes(size))
    return enlarged(np.hstack(training_images()[nearest.kneighbors(own, return_distance=False)[0]]))


def all_sizes(image, step):
    """What every code keeps, one row each, one column per size."""
    rows = [np.hstack([kept(image, name, size, step)[0] for size in LATENT_DIMS]) for name in CODES]
    return enlarged(np.vstack(rows))


def enlarged(image):
    image = image if image.dtype == np.uint8 else np.rint(255 * image).astype(np.uint8)
    height, width = image.shape[:2]
    return Image.fromarray(image).resize((width * SCALE, height * SCALE), Image.Resampling.NEAREST)


def build():
    """The page, with an example filled in."""
    first = next(iter(examples().values()))
    found = show(first, LATENT_DIMS[-1], "as they are")
    look = {"show_label": False, "buttons": [], "interactive": False, "height": 150}
    with gr.Blocks(title="What a code of d numbers keeps") as page:
        gr.Markdown(INTRODUCTION)
        with gr.Row():
            size = gr.Radio(LATENT_DIMS, value=LATENT_DIMS[-1], label="d, the size of the code", min_width=300)
            rounding = gr.Radio([*ROUNDING], value="as they are", label="its numbers, rounded", min_width=300)
        with gr.Row():
            image, column = _picture("The picture", found[0], "pixels", look)
            with column:
                outputs = [image, gr.Markdown(found[1])]
            for i, (name, title) in enumerate(CODES.items()):
                image, column = _picture(title, found[2 + 3 * i], name, look)
                with column:
                    caption = gr.Markdown(found[3 + 3 * i])
                    classes = gr.Label(found[4 + 3 * i], num_top_classes=3, show_label=False, elem_id=f"class-{name}")
                outputs += [image, caption, classes]
        picture = gr.Image(first, type="filepath", image_mode=None, label="a picture of yours", height=200)
        gr.Examples([*examples().values()], picture, label="test images", example_labels=[*examples()])
        with_all = gr.Checkbox(label=f"all sizes side by side: d = {', '.join(map(str, LATENT_DIMS))}")
        sizes = gr.Image(visible=False, **look | {"height": 400})
        with gr.Accordion("Training images with the nearest codes (half AE, half features)", open=False):
            near = gr.Image(found[-2], **look | {"height": 100})
        inputs = [picture, size, rounding, with_all]
        for part in inputs:
            part.change(show, inputs, [*outputs, near, sizes], show_progress="hidden")
    return page


def _picture(title, image, elem_id, look):
    """A column with a title and an image."""
    with gr.Column(min_width=140) as column:
        gr.Markdown(f"**{title}**")
        return gr.Image(image, elem_id=elem_id, **look), column


def warm_up():
    """Load all models and run each once, so that the first picture is as fast as all others."""
    for size in LATENT_DIMS:
        show(next(iter(examples().values())), size, "fine")


if __name__ == "__main__":
    warm_up()
    print("Stop the page with Ctrl-C")
    build().launch(inbrowser="--no-browser" not in sys.argv)
