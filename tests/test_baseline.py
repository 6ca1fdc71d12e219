import copy
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import ONCE, same_weights

from src.autoencoder import build_autoencoder
from src.baseline import PRIOR_WORK
from src.classifier import train_linear_classifier
from src.encode import encode_images, reconstruction_errors
from src.train import TrainConfig, train_autoencoder


def test_pca_errs_less_with_every_component_and_is_exact_with_all(tiny):
    images = tiny.x_train[:30]
    errors = []
    for size in (1, 5, 20, 29):
        model = build_autoencoder("pca", size)
        model.initialise(images)
        errors.append(reconstruction_errors(model, images).mean())
    assert all(after < before for before, after in itertools.pairwise(errors))
    assert errors[-1] < 1e-8


def test_pca_has_nothing_to_train():
    assert not any(parameter.requires_grad for parameter in build_autoencoder("pca", 5).parameters())


def test_fine_tuning_goes_on_from_the_same_code_with_labels(tiny):
    first, second = build_autoencoder("spatial", 128), build_autoencoder("spatial_finetuned", 128)
    assert len(train_autoencoder(first, tiny, ONCE, progress=False)) == 1
    history = train_autoencoder(second, tiny, ONCE, progress=False)
    assert [record["epoch"] for record in history] == [1, 1] and "val_total" not in history[1]
    assert not torch.equal(first.encoder[0].weight, second.encoder[0].weight)
    assert torch.equal(first.decoder[1].weight, second.decoder[1].weight)  # which labels do not reach


def test_a_random_start_is_trained_as_conv_is_from_its_own_initialisation(tiny):
    model = build_autoencoder("random_start", 5)
    before = copy.deepcopy(model.state_dict())
    assert same_weights(before, build_autoencoder("conv", 5).state_dict())
    model.initialise(tiny.x_train)
    assert same_weights(model, before)
    assert len(train_autoencoder(model, tiny, ONCE, progress=False)) == 1 and not same_weights(model, before)
    encoder = build_autoencoder("random", 5)
    assert train_autoencoder(encoder, tiny, ONCE, progress=False) == [] and same_weights(encoder, before)


def test_the_supervised_encoder_has_no_decoder():
    model, x = build_autoencoder("supervised", 5), torch.rand(2, 3, 32, 32)
    for function, argument in ((model.decode, torch.zeros(2, 5)), (model, x), (model.loss, x)):
        with pytest.raises(ValueError, match="the supervised encoder has no decoder"):
            function(argument)


def test_labels_make_a_better_code_than_chance_does(tiny):
    (images, labels), scores = tiny.split("train"), []
    for name in ("random", "supervised"):
        model = build_autoencoder(name, 2)
        train_autoencoder(model, tiny, TrainConfig(epochs=15, batch_size=32), progress=False)
        probe = train_linear_classifier(encode_images(model, images), labels)
        scores.append(probe.score(encode_images(model, tiny.x_test), tiny.y_test))
    assert scores[1] > scores[0]


def test_labels_of_a_hundred_classes_are_learnt_from(tiny100):
    history = train_autoencoder(
        build_autoencoder("supervised", 4), tiny100, replace(ONCE, epochs=3, batch_size=16), progress=False
    )
    assert history[-1]["train_total"] < history[0]["train_total"]


def test_pixels_keep_everything(tiny):
    model = build_autoencoder("pixels", 3072)
    codes = encode_images(model, tiny.x_test)
    assert codes.dtype == np.float32 and codes.shape == (100, 3072)
    assert reconstruction_errors(model, tiny.x_test).max() == 0


def test_the_prior_work_is_quoted_for_every_pair():
    assert PRIOR_WORK.groupby("dataset").size().to_dict() == {"CIFAR10": 4, "CIFAR100": 4}


@pytest.mark.parametrize("name", ["random", "supervised", "spatial_finetuned"])
def test_a_code_whose_decoder_was_not_trained_says_so(name):
    size = 128 if name.startswith("spatial") else 5
    assert not build_autoencoder(name, size).has_decoder
