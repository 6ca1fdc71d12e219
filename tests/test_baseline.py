import copy
import itertools

import numpy as np
import pytest
import torch

from src.baseline import (
    PRIOR_WORK,
    FineTunedClassifier,
    PCACode,
    PixelCode,
    RandomEncoder,
    SpatialAutoencoder,
    fine_tune,
    train_supervised,
)
from src.classifier import train_linear_classifier
from src.train import TrainConfig, encode_images, reconstruction_errors, train_autoencoder


def test_pca_errs_less_with_every_component_and_is_exact_with_all(tiny):
    images = tiny.x_train[:30]
    errors = []
    for size in (1, 5, 20, 29):
        model = PCACode(size)
        model.prepare(images)
        errors.append(reconstruction_errors(model, images).mean())
    assert all(after < before for before, after in itertools.pairwise(errors))
    assert errors[-1] < 1e-8


def test_pca_has_nothing_to_train():
    assert not any(parameter.requires_grad for parameter in PCACode(5).parameters())


def test_fine_tuning_trains_a_copy_and_reads_labels(tiny):
    torch.manual_seed(0)
    model = SpatialAutoencoder()
    before = copy.deepcopy(model.state_dict())
    tuned = fine_tune(model, tiny, TrainConfig(epochs=12, batch_size=32))
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert not torch.equal(tuned.autoencoder.encoder[0].weight, model.encoder[0].weight)


def test_labels_make_a_better_code_than_chance_does(tiny):
    torch.manual_seed(0)
    floor, ceiling = RandomEncoder(2), train_supervised(2, tiny, TrainConfig(epochs=30, batch_size=32))
    assert train_autoencoder(floor, tiny, TrainConfig(epochs=1)) == []
    (images, labels), scores = tiny.split("train"), []
    for model in (floor, ceiling):
        reader = train_linear_classifier(encode_images(model, images), labels)
        scores.append(reader.score(encode_images(model, tiny.x_test), tiny.y_test))
    assert scores[1] > scores[0]


def test_the_softmax_layer_has_a_logit_a_class(tiny100):
    assert FineTunedClassifier(SpatialAutoencoder(), len(tiny100.classes)).head.out_features == 100


def test_pixels_are_a_code_of_one_size():
    with pytest.raises(ValueError, match="3072 numbers, not 10"):
        PixelCode(10)


def test_pixels_keep_everything(tiny):
    model = PixelCode()
    codes = encode_images(model, tiny.x_test)
    assert codes.dtype == np.float32 and codes.shape == (100, 3072)
    assert reconstruction_errors(model, tiny.x_test).max() == 0


def test_the_prior_work_is_quoted_for_every_pair():
    assert PRIOR_WORK.groupby("dataset").size().to_dict() == {"CIFAR10": 4, "CIFAR100": 4}
