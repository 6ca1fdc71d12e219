"""The autoencoders as scikit-learn transformers, for pipelines, cross-validation and grid searches on image arrays."""

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from src.autoencoder import build_autoencoder
from src.data_loader import ImageDataset, as_bytes
from src.latent_space import decode_codes
from src.train import TrainConfig, encode_images, train_autoencoder


class AutoencoderTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Images in, codes out: `fit` trains an autoencoder without labels, `transform` gives float32 (N, latent_dim).

    Images are uint8 in [0, 255] or float in [0, 1], (N, 32, 32, 3) or (N, 3, 32, 32); floats are rounded to 256 levels. A
    ValueError says what else was given. `inverse_transform` gives the images of codes, float32 (N, 32, 32, 3) in [0, 1].
    """

    def __init__(self, autoencoder="conv", *, latent_dim=50, epochs=2, seed=0):
        self.autoencoder = autoencoder
        self.latent_dim = latent_dim
        self.epochs = epochs
        self.seed = seed

    def fit(self, X, y=None):
        images = as_images(X)
        labels = np.zeros(len(images), np.int64)  # an autoencoder looks at none
        dataset = ImageDataset("images", images, labels, images[:1], labels[:1], classes=("image",))
        self.model_ = build_autoencoder(self.autoencoder, self.latent_dim)
        self.history_ = train_autoencoder(
            self.model_, dataset, TrainConfig(epochs=self.epochs), self.seed, progress=False
        )
        self._n_features_out = self.latent_dim
        return self

    def transform(self, X):
        check_is_fitted(self)
        return encode_images(self.model_, as_images(X))

    def inverse_transform(self, X):
        check_is_fitted(self)
        return decode_codes(self.model_, X)


def as_images(X):
    """uint8 images (N, 32, 32, 3) of an array of images as AutoencoderTransformer takes them."""
    X = np.asarray(X)
    if X.ndim == 4 and X.shape[1:] == (3, 32, 32):
        X = X.transpose(0, 2, 3, 1)
    X = as_bytes(X)
    if X.dtype != np.uint8 or X.shape[1:] != (32, 32, 3) or len(X) == 0:
        raise ValueError(
            "images must be a uint8 or float array (N, 32, 32, 3) or (N, 3, 32, 32) with N > 0, not "
            f"{X.dtype} {tuple(X.shape)}"
        )
    return X
