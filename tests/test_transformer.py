import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

from src.train import encode_images
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


def test_every_layout_and_type_of_the_same_images_has_the_same_code(fitted, tiny):
    z = fitted.transform(tiny.x_test)
    for images in (tiny.x_test / 255, (tiny.x_test / np.float32(255)).transpose(0, 3, 1, 2)):
        assert np.array_equal(fitted.transform(images), z)


def test_it_is_cloned_pickled_and_repeated(fitted, tiny):
    again = clone(fitted).fit(tiny.x_train)
    copy = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(copy.transform(tiny.x_test), fitted.transform(tiny.x_test))
    assert np.allclose(again.transform(tiny.x_test), fitted.transform(tiny.x_test), atol=1e-2)


def test_it_goes_through_pipelines_cross_validation_and_grid_search(tiny):
    scores = cross_val_score(pipeline(), tiny.x_train, tiny.y_train, cv=3)
    assert scores.mean() > 0.5  # the classes of these images differ in brightness
    search = GridSearchCV(pipeline(), {"autoencodertransformer__latent_dim": [2, 4]}, cv=2)
    assert search.fit(tiny.x_train, tiny.y_train).best_params_["autoencodertransformer__latent_dim"] in (2, 4)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 3072)),
        np.full((2, 32, 32, 3), 2.0),
        np.full((2, 32, 32, 3), np.nan),
        np.zeros((0, 32, 32, 3)),
        [["a"]],
    ],
)
def test_other_arrays_are_refused(fitted, images):
    with pytest.raises(ValueError, match="images must"):
        fitted.transform(images)


def test_before_fitting_it_says_so(tiny):
    with pytest.raises(NotFittedError):
        AutoencoderTransformer().transform(tiny.x_test)
