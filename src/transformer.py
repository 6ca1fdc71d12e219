"""The autoencoders as scikit-learn transformers, for pipelines, cross-validation and grid searches on image arrays."""

import copy
import threading

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from src.autoencoder import build_autoencoder
from src.encode import decode_codes, encode_images
from src.train import TrainConfig, train_autoencoder
from src.utils import as_bytes, check_images, one_thread

# torch has one generator for all threads: fits that draw from it at the same time would disturb each other
ONE_FIT_AT_A_TIME = threading.Lock()


class AutoencoderTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Images in, latent codes out: `fit` trains an autoencoder without labels, `transform` gives float32 (N, latent_dim).

    Images are uint8 or float in [0, 1], (N, 32, 32, 3) or (N, 3, 32, 32), at least two to fit; floats are rounded to 256
    levels. `inverse_transform` takes codes, an array or a frame (N, latent_dim), and gives their images, float32
    (N, 32, 32, 3) in [0, 1]. `random_state` is an int, a RandomState or None, as everywhere in scikit-learn; the same int
    gives the same weights, bit for bit, and leaves the caller's random states as they were. Fits in threads of one process wait
    for each other, so that each is as it is alone; only processes train at the same time. Other draws of torch's, in threads
    beside a fit, are not held back. A pickle of a transformer that was fitted on a GPU loads without one. A ValueError says
    what else was given.

        pipeline = make_pipeline(AutoencoderTransformer("conv"), StandardScaler(), LogisticRegression())
        search = GridSearchCV(pipeline, {"autoencodertransformer__latent_dim": [10, 20]}, cv=2)
        search.fit(dataset.x_train[:5000], dataset.y_train[:5000])
    """

    def __init__(self, autoencoder="conv", *, latent_dim=50, epochs=2, random_state=0):
        self.autoencoder = autoencoder
        self.latent_dim = latent_dim
        self.epochs = epochs
        self.random_state = random_state

    def fit(self, X, y=None):
        """Train on images X, of which the last tenth serve for validation; `y` is not looked at."""
        images = as_images(X)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        with ONE_FIT_AT_A_TIME, one_thread():  # the weights would depend on the number of threads
            model = build_autoencoder(self.autoencoder, self.latent_dim, seed)
            if "labels" in model.stages:
                raise ValueError(f"{self.autoencoder} is trained with labels; a transformer has none")
            config = TrainConfig(epochs=self.epochs)
            self.history_ = train_autoencoder(model, images, config, seed, progress=False)
        self.model_, self._n_features_out = model, model.latent_dim
        return self

    def transform(self, X):
        """The latent codes of images X, float32 (N, latent_dim)."""
        check_is_fitted(self)
        return encode_images(self.model_, as_images(X))

    def inverse_transform(self, X):
        """The images of latent codes X, float32 (N, 32, 32, 3) in [0, 1]."""
        check_is_fitted(self)
        if not self.model_.has_decoder:
            raise ValueError(f"{self.autoencoder} has no trained decoder")
        return decode_codes(self.model_, X)

    def __getstate__(self):
        state = dict(super().__getstate__())
        if "model_" in state:
            state["model_"] = copy.deepcopy(self.model_).cpu()
        return state


def as_images(X):
    """Images as AutoencoderTransformer takes them, as uint8 (N, 32, 32, 3); else a ValueError."""
    X = np.asarray(X)
    if X.ndim == 2:
        raise ValueError(f"images must be (N, 32, 32, 3) or (N, 3, 32, 32), not flat rows, {X.shape}")
    if X.shape[1:] == (3, 32, 32):
        X = X.transpose(0, 2, 3, 1)
    X = as_bytes(X)
    check_images(X)
    return X
