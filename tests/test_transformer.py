import pickle
import random

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import same_weights
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, ShuffleSplit, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.parallel import Parallel, delayed

from src.encode import encode_images
from src.transformer import AutoencoderTransformer

# scikit-learn's checks that do not need a table of features; all others fit on arrays (N, features), and these are images
CHECKS = (
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_get_params_invariance",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
    "check_valid_tag_types",
)


def pipeline():
    return make_pipeline(AutoencoderTransformer(latent_dim=4, epochs=1), StandardScaler(), LogisticRegression())


@pytest.fixture(scope="module")
def fitted(tiny):
    return AutoencoderTransformer("vae", latent_dim=4, epochs=1).fit(tiny.x_train)


@pytest.mark.parametrize("check", CHECKS)
def test_it_is_an_estimator(check):
    getattr(estimator_checks, check)("AutoencoderTransformer", AutoencoderTransformer())


def test_codes_and_images_are_those_of_the_model(fitted, tiny):
    z = fitted.transform(tiny.x_test)
    assert np.array_equal(z, encode_images(fitted.model_, tiny.x_test)) and z.shape == (100, 4)
    images = fitted.inverse_transform(z)
    assert images.shape == (100, 32, 32, 3) and images.dtype == np.float32 and 0 <= images.min() <= images.max() <= 1
    assert list(fitted.get_feature_names_out()) == [f"autoencodertransformer{i}" for i in range(4)]


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64])
def test_every_layout_and_type_of_the_same_images_has_the_same_code(fitted, tiny, dtype):
    images = tiny.x_test if dtype == np.uint8 else (tiny.x_test / 255).astype(dtype)
    for layout in (images, images.transpose(0, 3, 1, 2), images.transpose(0, 3, 1, 2).copy()):
        assert np.array_equal(fitted.transform(layout), fitted.transform(tiny.x_test))


def test_codes_may_be_a_frame(tiny):
    model = AutoencoderTransformer("vae", latent_dim=4, epochs=1).set_output(transform="pandas")
    frame = model.fit_transform(tiny.x_train, pd.Series(tiny.y_train))
    assert isinstance(frame, pd.DataFrame) and frame.shape == (200, 4)
    assert np.array_equal(model.inverse_transform(frame), model.inverse_transform(frame.to_numpy()))
    with pytest.raises(ValueError, match=r"codes must be .*, 4\)"):
        model.inverse_transform(frame.iloc[:, :3])


def test_the_same_seed_gives_the_same_bits_on_any_number_of_threads(tiny):
    def fit(threads, random_state=0):
        torch.set_num_threads(threads)
        try:
            return (
                AutoencoderTransformer(latent_dim=64, epochs=1, random_state=random_state)
                .fit(tiny.x_train[:150])
                .model_
            )
        finally:
            torch.set_num_threads(1)

    first = fit(threads=1)
    assert same_weights(first, fit(threads=1)) and same_weights(first, fit(threads=2))
    assert not same_weights(first, fit(threads=1, random_state=1))


def test_a_random_state_is_drawn_from_at_every_fit(tiny):
    def fits(random_state, count=2):
        model = AutoencoderTransformer(latent_dim=2, epochs=1, random_state=random_state)
        return [model.fit(tiny.x_train[:20]).model_ for _ in range(count)]

    first, second = fits(np.random.RandomState(3))
    again, other = fits(np.random.RandomState(3))
    assert same_weights(first, again) and same_weights(second, other) and not same_weights(first, second)
    assert not same_weights(*fits(None))


def test_the_callers_random_states_are_left_as_they_were(tiny):
    def draws():
        return np.random.rand(), torch.rand(1).item(), random.random()

    def start():
        np.random.seed(0), torch.manual_seed(0), random.seed(0)

    start()
    expected = draws()
    start()
    AutoencoderTransformer(latent_dim=2, epochs=1, random_state=5).fit(tiny.x_train[:20]).transform(tiny.x_test)
    assert draws() == expected


def test_random_splits_differ(tiny):
    results = cross_validate(
        pipeline(), tiny.x_train, tiny.y_train, cv=ShuffleSplit(5, test_size=20), return_indices=True
    )
    assert len({tuple(indices) for indices in results["indices"]["test"]}) == 5
    assert results["test_score"].mean() > 0.5  # the classes of these images differ in brightness


def test_it_goes_through_a_grid_search_over_numpys_integers(tiny):
    grid = {"autoencodertransformer__latent_dim": np.array([2, 4]), "autoencodertransformer__epochs": np.arange(1, 2)}
    search = GridSearchCV(pipeline(), grid, cv=2).fit(tiny.x_train, tiny.y_train)
    assert search.best_params_["autoencodertransformer__latent_dim"] in (2, 4)
    assert search.best_estimator_[0].get_feature_names_out()[0] == "autoencodertransformer0"


def test_a_size_may_be_numpys_integer(tiny):
    model = AutoencoderTransformer(latent_dim=np.int64(8), epochs=1)
    copies = [model, clone(model), pickle.loads(pickle.dumps(model))]
    first, *others = (copy.fit(tiny.x_train[:20]) for copy in copies)
    assert first.transform(tiny.x_test).shape == (100, 8)
    assert all(same_weights(first.model_, other.model_) for other in others)


def test_fits_in_threads_are_those_done_alone(tiny):
    def fit(seed):
        return AutoencoderTransformer("vae", latent_dim=4, epochs=1, random_state=seed).fit(tiny.x_train[:40]).model_

    alone = [fit(seed) for seed in range(4)]
    beside_each_other = Parallel(n_jobs=4, backend="threading")(delayed(fit)(seed) for seed in range(4))
    assert [*map(same_weights, alone, beside_each_other)] == [True] * 4


@pytest.mark.parametrize("name", ["conv", "vae", "denoising"])
@pytest.mark.parametrize("count", [2, 3])
def test_two_or_three_images_are_enough(tiny, name, count):
    model = AutoencoderTransformer(name, latent_dim=4, epochs=1).fit(tiny.x_train[:count])
    assert np.isfinite(model.transform(tiny.x_test)).all()
    assert np.isfinite(model.inverse_transform(model.transform(tiny.x_test))).all()


def test_it_is_pickled(fitted, tiny):
    copy = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(copy.transform(tiny.x_test), fitted.transform(tiny.x_test))
    assert pickle.loads(pickle.dumps(AutoencoderTransformer(latent_dim=7))).latent_dim == 7


class ModelOnGPU:
    device = "cuda"

    def cpu(self):
        self.device = "cpu"
        return self


def test_a_pickle_holds_the_model_on_the_cpu():
    model = AutoencoderTransformer()
    model.model_ = ModelOnGPU()
    assert model.__getstate__()["model_"].device == "cpu" and model.model_.device == "cuda"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_pickle_of_a_gpus_model_holds_no_cuda_tensor(fitted):
    assert {value.device.type for value in fitted.model_.state_dict().values()} == {"cuda"}
    copy = pickle.loads(pickle.dumps(fitted))
    assert {value.device.type for value in copy.model_.state_dict().values()} == {"cpu"}


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 3072)), r"not flat rows, \(2, 3072\)"),
        (pd.DataFrame(np.zeros((2, 3072))), r"not flat rows, \(2, 3072\)"),
        ([["a"]], "images must be"),
        (np.zeros((32, 32, 3), np.uint8), r"images must be .* not uint8 \(32, 32, 3\)"),
        (np.zeros((2, 32, 32, 3), int), r"images must be .* not int64 \(2, 32, 32, 3\)"),
        (np.full((2, 32, 32, 3), 2.0), r"float images must lie in \[0, 1\]"),
        (np.full((2, 32, 32, 3), np.nan), r"float images must lie in \[0, 1\]"),
        (np.zeros((0, 32, 32, 3), np.uint8), "images holds no image"),
        (np.zeros((0, 32, 32, 3)), "images must be"),
    ],
)
def test_other_arrays_are_refused(fitted, images, message):
    for method in (fitted.transform, clone(fitted).fit):
        with pytest.raises(ValueError, match=message):
            method(images)


def test_what_cannot_be_done_is_refused(tiny):
    with pytest.raises(ValueError, match="supervised is trained with labels"):
        AutoencoderTransformer("supervised", latent_dim=2).fit(tiny.x_train)
    with pytest.raises(ValueError, match="random has no trained decoder"):
        AutoencoderTransformer("random", latent_dim=2).fit(tiny.x_train).inverse_transform(np.zeros((1, 2)))
    with pytest.raises(ValueError, match="at least two are needed"):
        AutoencoderTransformer(latent_dim=2).fit(tiny.x_train[:1])
    for wrong in ({"latent_dim": 2.0}, {"latent_dim": 0}, {"epochs": 0}, {"random_state": "a"}):
        with pytest.raises(ValueError):
            AutoencoderTransformer(**wrong).fit(tiny.x_train)


def test_before_fitting_it_says_so(tiny):
    for method in ("transform", "inverse_transform"):
        with pytest.raises(NotFittedError):
            getattr(AutoencoderTransformer(), method)(tiny.x_test)
