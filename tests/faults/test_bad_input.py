"""Generated bad input to every public function that takes arrays: a clear error or a right answer, nothing else.

Each property is tried on hundreds of inputs. What counts as a clear error is a ValueError, or a TypeError for a value
of another kind, with a message; a quiet NaN in an answer fails.
"""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from src.autoencoder import AUTOENCODERS, build_autoencoder
from src.baseline import PCACode
from src.classifier import (
    ClassifierConfig,
    evaluate_classifier,
    train_classifier,
    train_linear_classifier,
    train_neighbours,
)
from src.data_loader import ImageDataset
from src.experiment import Experiment
from src.measure import noisy_errors
from src.train import TrainConfig, code_views, encode_images, reconstruct_images, reconstruction_errors

EXAMPLES = settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
DTYPES = [np.uint8, np.int8, np.int64, np.float16, np.float32, np.float64, np.bool_, np.complex64, "U3", object]
MODELS = {name: build_autoencoder(name, 4) for name in AUTOENCODERS} | {"pca": PCACode(4)}
CLASSIFIER = train_classifier(
    np.random.default_rng(0).standard_normal((60, 4)), np.arange(60) % 3, 3, ClassifierConfig(1, 20)
)


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


@st.composite
def arrays(draw, shapes):
    """Arrays of any type and shape near the right ones: views, read-only, with NaN and infinity, empty, or no arrays."""
    shape = draw(st.one_of(shapes, hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=5)))
    dtype = draw(st.sampled_from(DTYPES))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    array = rng.random(shape) * draw(st.sampled_from([1, 3, 255, 1e9, -1]))
    with np.errstate(all="ignore"):
        array = np.array(array).astype(dtype)
    if array.size and array.dtype.kind in "fc" and draw(st.booleans()):
        array.flat[0] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    kind = draw(st.sampled_from(["as is", "reversed", "read-only", "list", "tensor", "none"]))
    if kind == "reversed" and array.ndim:
        return array[::-1]
    if kind == "read-only":
        array.flags.writeable = False
    if kind == "list":
        return array.tolist()
    if kind == "tensor" and array.dtype.kind in "uifb":
        return torch.from_numpy(array.copy())
    return None if kind == "none" else array


images = arrays(
    st.sampled_from([(0, 32, 32, 3), (1, 32, 32, 3), (2, 32, 32, 3), (2, 3, 32, 32), (2, 32, 32), (32, 32, 3)])
)
vectors = arrays(st.sampled_from([(0, 4), (1, 4), (2, 4), (30, 4), (30, 3), (30,), (4, 30, 1)]))
labels = arrays(st.sampled_from([(0,), (1,), (2,), (30,), (30, 1)]))


@EXAMPLES
@given(st.sampled_from(sorted(MODELS)), images)
def test_functions_of_images(name, x):
    model = MODELS[name]
    for function in (encode_images, reconstruct_images, reconstruction_errors):
        answer = error_or_answer(function, model, x)
        good = (
            isinstance(x, np.ndarray) and x.dtype == np.uint8 and x.ndim == 4 and x.shape[1:] == (32, 32, 3) and len(x)
        )
        assert (answer is not None) == bool(good)
    error_or_answer(lambda: list(code_views(model, x, 2)))
    error_or_answer(noisy_errors, model, x, (0.0, 0.1))


@EXAMPLES
@given(st.sampled_from(sorted(MODELS)), st.booleans(), images)
def test_models_on_batches(name, decode, x):
    tensor = x
    if isinstance(x, np.ndarray) and x.dtype.kind in "uifb":
        tensor = torch.from_numpy(np.array(x))
    model = MODELS[name].eval()
    with torch.no_grad():
        error_or_answer(lambda: (model.decode if decode else model.encode)(tensor).numpy())
        error_or_answer(lambda: [term.item() for term in model.loss(tensor).values()])


@EXAMPLES
@given(vectors, labels, st.sampled_from([0, 1, 2, 3, 10, -1]))
def test_readers_of_vectors(z, y, n_classes):
    def fit(train):
        return lambda: train().score(z, y)

    error_or_answer(fit(lambda: train_linear_classifier(z, y)))
    error_or_answer(fit(lambda: train_neighbours(z, y)))

    def network():
        classifier = train_classifier(z, y, n_classes, ClassifierConfig(1, 16))
        return evaluate_classifier(classifier, z, y)

    error_or_answer(network)
    error_or_answer(lambda: evaluate_classifier(CLASSIFIER, z, y))


@EXAMPLES
@given(images, labels)
def test_a_data_set_is_whole_or_refused(x, y):
    def build():
        dataset = ImageDataset("any", x, y, x, y, ("a", "b"))
        return [len(dataset.split(part)[0]) for part in ("train", "validation", "test")]

    error_or_answer(build)


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**6), 10**6), st.floats(), st.text(max_size=3), st.just([10])
)


@EXAMPLES
@given(st.sampled_from([*AUTOENCODERS, "gan", "", None]), ANYTHING)
def test_latent_sizes_of_any_kind(name, size):
    good = name in AUTOENCODERS and type(size) is int and 1 <= size <= 1024
    for build in (lambda: build_autoencoder(name, size), lambda: Experiment("CIFAR10", name, size)):
        try:
            build()
            assert good or name not in AUTOENCODERS
        except (ValueError, TypeError) as error:
            assert str(error) and not good


@EXAMPLES
@given(st.sampled_from(["epochs", "batch_size", "learning_rate", "dense_rate"]), ANYTHING)
def test_settings_of_any_kind(setting, value):
    try:
        config = TrainConfig(**{setting: value})
        assert getattr(config, setting) > 0
    except (ValueError, TypeError) as error:
        assert str(error)


@pytest.mark.parametrize("labels", [np.array(["cat", "dog"] * 5), np.arange(10) / 3, np.full(10, np.nan)])
def test_labels_of_another_kind_are_refused_by_every_reader(labels):
    z = np.random.default_rng(0).standard_normal((10, 4)).astype(np.float32)
    for train in (
        train_linear_classifier,
        train_neighbours,
        lambda z, y: train_classifier(z, y, 2, ClassifierConfig(1, 4)),
    ):
        with pytest.raises(ValueError, match="labels"):
            train(z, labels)
