import copy
import itertools

import numpy as np
import torch

from src.baseline import (
    PRIOR_WORK,
    FineTunedClassifier,
    PCACode,
    SpatialAutoencoder,
    fine_tune,
    flat_pixels,
    predict_images,
)
from src.train import TrainConfig, reconstruction_errors


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
    logits = predict_images(tuned, tiny.x_test)
    assert logits.shape == (100, 10)
    assert np.mean(logits.argmax(1) == tiny.y_test) > 0.3


def test_the_softmax_layer_has_a_logit_a_class(tiny100):
    assert FineTunedClassifier(SpatialAutoencoder(), len(tiny100.classes)).head.out_features == 100


def test_pixels_keep_everything(tiny):
    pixels = flat_pixels(tiny.x_test)
    assert pixels.dtype == np.float32 and pixels.shape == (100, 3072)
    assert np.array_equal(np.round(pixels * 255).reshape(tiny.x_test.shape), tiny.x_test)


def test_the_prior_work_is_quoted_for_every_pair():
    assert PRIOR_WORK.groupby("dataset").size().to_dict() == {"CIFAR10": 4, "CIFAR100": 4}
