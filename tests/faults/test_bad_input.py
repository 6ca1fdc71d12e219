"""Generated bad input to every public function that takes arrays: a clear error or a right answer, nothing else.

Each property is tried on hundreds of inputs. What counts as a clear error is a ValueError, or a TypeError for a value
of another kind, with a message; a quiet NaN in an answer fails, and so does an answer to what should have been refused.
"""

import types
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from src.autoencoder import build_autoencoder
from src.classifier import (
    evaluate_classifier,
    predict_logits,
    score_logits,
    train_classifier,
    train_linear_classifier,
    train_neighbours,
)
from src.data_loader import ImageDataset
from src.encode import decode_codes, encode_images, encode_views, reconstruct_images, reconstruction_errors
from src.study.experiment import Experiment, grid
from src.train import TrainConfig, train_autoencoder

EXAMPLES = settings(max_examples=500, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
DTYPES = [np.uint8, np.int8, np.int64, np.float16, np.float32, np.float64, np.bool_, np.complex64, "U3", object]
BUILT = {
    name: build_autoencoder(name, 4) for name in ("conv", "vae", "denoising", "masked", "nested", "features_50", "pca")
}
QUICK = TrainConfig(epochs=1, batch_size=20, linear_rate=1.0)
CLASSIFIER = train_classifier(np.random.default_rng(0).standard_normal((60, 4)), np.arange(60) % 3, 3, QUICK)


def is_finite(answer):
    if isinstance(answer, dict):
        return all(is_finite(value) for value in answer.values())
    if isinstance(answer, (list, tuple)):
        return all(is_finite(value) for value in answer)
    return bool(np.isfinite(np.asarray(answer, dtype=float)).all())


def error_or_answer(function, *arguments):
    try:
        answer = function(*arguments)
    except (ValueError, TypeError) as error:
        assert str(error)
        return None
    assert is_finite(answer)
    return answer


def mostly(right, other):
    return st.integers(0, 5).flatmap(lambda draw: right if draw else other)


@st.composite
def arrays(draw, right_shapes, right_dtypes, scales, wrong_shapes):
    """Arrays that are right, or nearly: another type, shape or range, a view, not finite, empty, or no array at all."""
    any_shape = st.one_of(
        st.sampled_from(wrong_shapes), hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=5)
    )
    shape = draw(mostly(st.sampled_from(right_shapes), any_shape))
    dtype = draw(mostly(st.sampled_from(right_dtypes), st.sampled_from(DTYPES)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    scale = draw(mostly(st.sampled_from(scales), st.sampled_from([1, 3, 255, 1e9, 1e300, -1])))
    with np.errstate(all="ignore"):
        array = np.array(rng.random(shape) * scale).astype(dtype)
    if array.size and array.dtype.kind in "fc" and not draw(st.integers(0, 5)):
        array.flat[0] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    kinds = st.sampled_from(["reversed", "read-only", "list", "tensor", "frame", "generator", "scalar", "none"])
    kind = draw(mostly(st.just("as is"), kinds))
    if kind == "reversed" and array.ndim:
        return array[::-1]
    if kind == "read-only":
        array.flags.writeable = False
    if kind == "list":
        return array.tolist()
    if kind == "tensor" and array.dtype.kind in "uifb":
        return torch.from_numpy(array.copy())
    if kind == "frame" and array.ndim in (1, 2):
        return pd.DataFrame(array) if array.ndim == 2 else pd.Series(array)
    if kind == "generator" and array.ndim:
        return (row for row in array)
    if kind == "scalar" and array.size:
        return array.flat[0]
    return None if kind == "none" else array


FLOATS = [np.float16, np.float32, np.float64]
images = arrays([(1, 32, 32, 3), (2, 32, 32, 3)], [np.uint8], [255], [(0, 32, 32, 3), (2, 3, 32, 32), (32, 32, 3)])
batches = arrays([(1, 3, 32, 32), (2, 3, 32, 32)], FLOATS, [1], [(0, 3, 32, 32), (2, 32, 32, 3), (3, 32, 32)])
codes = arrays([(30, 4)], FLOATS, [1, 3, 255], [(0, 4), (1, 4), (2, 4), (30, 3), (30,), (4, 30, 1)])
labels = arrays([(30,)], [np.int64, np.uint8], [3], [(0,), (1,), (2,), (30, 1)])
two_labels = arrays([(1,), (2,)], [np.int64, np.uint8], [2], [(0,), (30,), (2, 1)])


def numbers(z):
    """`z` as a float32 matrix where it is one; else None."""
    if isinstance(z, types.GeneratorType):
        return None
    try:
        with np.errstate(all="ignore"):
            array = np.asarray(z)
            array = None if array.dtype.kind == "c" else array.astype(np.float32)
    except (ValueError, TypeError):
        return None
    return array if array is not None and array.ndim == 2 and array.size and np.isfinite(array).all() else None


@EXAMPLES
@given(st.sampled_from(sorted(BUILT)), images)
def test_functions_of_images(name, x):
    model = BUILT[name]
    good = isinstance(x, np.ndarray) and x.dtype == np.uint8 and x.shape[1:] == (32, 32, 3) and len(x) > 0
    for function in (encode_images, reconstruct_images, reconstruction_errors):
        assert (error_or_answer(function, model, x) is not None) == good
    error_or_answer(lambda: list(encode_views(model, x, 2)))


@EXAMPLES
@given(st.sampled_from(sorted(BUILT)), st.one_of(batches, codes))
def test_models_on_batches(name, x):
    decode = getattr(x, "ndim", 0) == 2
    if isinstance(x, np.ndarray) and x.dtype.kind in "uifb":
        x = torch.from_numpy(np.array(x))
    model = BUILT[name].eval()
    is_float = isinstance(x, torch.Tensor) and x.is_floating_point()
    with torch.no_grad():
        if decode:
            answer = error_or_answer(lambda: model.decode(x).numpy())
            good = is_float and x.ndim == 2 and x.shape[1] == 4 and bool(x.float().isfinite().all())
            assert (answer is not None) == good
            assert answer is None or (is_float and np.array_equal(answer, model.decode(x.float()).numpy()))
        else:
            good = is_float and x.shape[1:] == (3, 32, 32) and len(x) > 0 and bool((x >= 0).all() and (x <= 1).all())
            answer = error_or_answer(lambda: model.encode(x).numpy())
            assert (answer is not None) == good
            assert not good or np.array_equal(answer, model.encode(x.float()).numpy())
            terms = error_or_answer(lambda: [term.item() for term in model.loss(x).values()])
            assert (terms is not None) == good


@EXAMPLES
@given(st.sampled_from(["conv", "nested", "pca"]), codes)
def test_functions_of_codes(name, z):
    model, expected = BUILT[name], numbers(z)
    decoded = error_or_answer(decode_codes, model, z)
    if decoded is not None:
        assert np.array_equal(decoded, decode_codes(model, expected))
    plain = isinstance(z, (np.ndarray, torch.Tensor, pd.DataFrame)) and np.asarray(z).dtype.kind in "fiub"
    assert decoded is not None or not plain or expected is None or expected.shape[1] != 4
    logits = error_or_answer(predict_logits, CLASSIFIER, z)
    assert (logits is None) == (decoded is None)


@pytest.mark.filterwarnings("ignore:The number of unique classes")
@EXAMPLES
@given(codes, labels, st.sampled_from([0, 1, 2, 3, 10, -1, np.int64(3), 3.0, None]))
def test_probes_of_codes(z, y, n_classes):
    def accuracy(train):
        return lambda: train(z, y).score(z, y)

    for train in (train_linear_classifier, train_neighbours):
        error_or_answer(accuracy(train))

    def network():
        return evaluate_classifier(train_classifier(z, y, n_classes, QUICK), z, y)

    error_or_answer(network)
    error_or_answer(lambda: evaluate_classifier(CLASSIFIER, z, y))
    error_or_answer(lambda: score_logits(z, y))


@EXAMPLES
@given(images, two_labels)
def test_a_data_set_is_whole_or_refused(x, y):
    def build():
        dataset = ImageDataset("any", x, y, x, y, ("a", "b"))
        return [len(dataset.split(part)[0]) for part in ("train", "validation", "test")]

    sizes = error_or_answer(build)
    assert sizes is None or sizes[0] + sizes[1] == sizes[2] == len(x)


# strings of digits and names among them, since those are what a form or a file gives
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.integers(-5, 1030).map(np.int64),
    st.integers(0, 200).map(np.uint8),
    st.floats(),
    st.floats(width=32).map(np.float32),
    st.sampled_from([np.bool_(True), np.array(10), np.array([10]), "10", [10], (10,), {10}, 10 + 0j, torch.tensor(10)]),
    st.text(max_size=3),
)


def is_whole(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


@EXAMPLES
@given(st.sampled_from([*BUILT, "gan", "", None]), ANYTHING)
def test_latent_sizes_of_any_kind(name, size):
    good = name in BUILT and is_whole(size) and 1 <= size <= (100 if name in ("nested", "features_50") else 1024)
    makers = (
        lambda: build_autoencoder(name, size).latent_dim,
        lambda: Experiment("CIFAR10", name, size).latent_dim,
        lambda: grid(["CIFAR10"], [name], [size])[0].latent_dim,
    )
    for make in makers:
        answer = error_or_answer(make)
        assert answer == (size if good else None) and type(answer) in (int, type(None))


@EXAMPLES
@given(ANYTHING)
def test_seeds_of_any_kind(seed):
    good = is_whole(seed) and seed >= 0
    answer = error_or_answer(lambda: Experiment("CIFAR10", "pca", 3, seed).seed)
    assert answer == (seed if good else None)
    makers = (
        lambda: build_autoencoder("pca", 3, seed).latent_dim,
        lambda: list(encode_views(BUILT["pca"], np.zeros((1, 32, 32, 3), np.uint8), 2, seed)),
    )
    for make in makers:
        assert (error_or_answer(make) is not None) == good


@EXAMPLES
@given(st.sampled_from([field.name for field in fields(TrainConfig)]), ANYTHING)
def test_settings_of_any_kind(setting, value):
    answer = error_or_answer(lambda: getattr(TrainConfig(**{setting: value}), setting))
    if setting in ("epochs", "batch_size"):
        assert answer == (int(value) if is_whole(value) and value >= 1 else None)
    else:
        assert answer is None or (type(answer) is float and answer == value and answer >= 0)


@settings(EXAMPLES, max_examples=100)
@given(st.integers(2, 6), st.sampled_from(["conv", "vae", "pca", "spatial", "supervised"]), st.booleans())
def test_a_few_images_can_be_trained_on(count, name, alike):
    x = np.random.default_rng(count).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    x[:] = x[:1] if alike else x
    y = np.arange(count) % 2
    model = build_autoencoder(name, 128 if name == "spatial" else 4)
    history = train_autoencoder(model, ImageDataset("few", x, y, x, y, ("a", "b")), QUICK, progress=False)
    assert is_finite(history) and is_finite(encode_images(model, x))
    assert not model.has_decoder or is_finite(reconstruction_errors(model, x))


@pytest.mark.parametrize("labels", [np.array(["cat", "dog"] * 5), np.arange(10) / 3, np.full(10, np.nan)])
def test_labels_of_another_kind_are_refused_by_every_probe(labels):
    z = np.random.default_rng(0).standard_normal((10, 4)).astype(np.float32)
    for train in (train_linear_classifier, train_neighbours, lambda z, y: train_classifier(z, y, 2, QUICK)):
        with pytest.raises(ValueError, match="labels"):
            train(z, labels)
