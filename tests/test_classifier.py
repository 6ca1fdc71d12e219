import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import same_weights
from sklearn.metrics import accuracy_score, f1_score
from torch import nn

from src.autoencoder import build_autoencoder
from src.classifier import (
    LatentClassifier,
    class_bits,
    evaluate_classifier,
    fit_temperature,
    predict_logits,
    score_logits,
    train_classifier,
    train_decoder_classifier,
    train_linear_classifier,
    train_neighbours,
)
from src.encode import encode_images
from src.train import TrainConfig

QUICK = TrainConfig(epochs=5, batch_size=64, learning_rate=3e-2, linear_rate=1.0)


def blobs(n_classes, size=400, width=6, seed=0):
    """Latent vectors that say their class, on very different scales."""
    rng = np.random.default_rng(seed)
    centres = 4 * np.random.default_rng(99).standard_normal((n_classes, width))
    y = np.arange(size) % n_classes
    z = (centres[y] + rng.standard_normal((size, width))) * np.logspace(-3, 3, width) + 50
    return z.astype(np.float32), y


@pytest.mark.parametrize("n_classes", [1, 2, 3, 10, 100])
def test_it_learns_any_number_of_classes(n_classes):
    (z, y), (test_z, test_y) = blobs(n_classes, 2000), blobs(n_classes, 500, seed=1)
    scores = evaluate_classifier(train_classifier(z, y, n_classes, QUICK), test_z, test_y)
    assert scores["accuracy"] > 0.8
    assert scores["accuracy"] <= scores["top5"] <= 1
    assert scores["predictions"].shape == (500,)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_codes_of_any_scale_are_learnt_alike(scale):
    (z, y), (test_z, test_y) = blobs(5, 2000), blobs(5, 500, seed=1)
    z, test_z = (np.column_stack([part, np.full(len(part), 7.0)]).astype(np.float32) for part in (z, test_z))
    accuracies = []
    for factor in (np.float32(scale), np.float32(1)):
        classifier = train_classifier(z * factor, y, 5, QUICK)
        accuracies.append(evaluate_classifier(classifier, test_z * factor, test_y)["accuracy"])
    assert accuracies[0] == pytest.approx(accuracies[1], abs=0.01) and accuracies[0] > 0.95


def test_the_seed_decides_the_classifier_and_the_random_state_stays():
    z, y = blobs(3)
    before = torch.get_rng_state()
    first, same, other = (train_classifier(z, y, 3, QUICK, seed) for seed in (0, np.int64(0), 1))
    assert same_weights(first, same) and not same_weights(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_codes_may_be_a_frame_and_labels_a_list():
    z, y = blobs(3)
    expected = train_classifier(z, y, 3, QUICK)
    assert same_weights(train_classifier(pd.DataFrame(z), y.tolist(), 3, QUICK), expected)
    assert evaluate_classifier(expected, z.tolist(), y.tolist())["accuracy"] > 0.9
    assert train_linear_classifier(z.tolist(), y.tolist()).score(z, y) > 0.9
    for dtype in (np.float16, np.float64):
        small = ((z - z.mean(0)) / z.std(0)).astype(dtype)
        assert evaluate_classifier(train_classifier(small, y, 3, QUICK), small, y)["accuracy"] > 0.9


@pytest.mark.parametrize("rate", [1e3, 1e30])
def test_a_classifier_that_diverges_is_an_error(rate):
    z, y = blobs(3)
    with pytest.raises(FloatingPointError, match="the loss is nan in epoch"):
        train_classifier(z, y, 3, replace(QUICK, learning_rate=rate))


def test_logits_that_are_not_finite_have_no_score():
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match="logits contains"):
            score_logits(np.full((4, 3), value), np.zeros(4, int))
    assert score_logits([[0.0, 1.0], [1.0, 0.0]], [1, 0])["accuracy"] == 1


def test_the_scores_are_those_of_scikit_learn():
    z, y = blobs(7)
    classifier = train_classifier(z, y, 7, QUICK)
    noise = np.random.default_rng(0).permutation(y)
    scores = evaluate_classifier(classifier, z, noise)
    predictions = predict_logits(classifier, z).argmax(1)
    assert scores["accuracy"] == accuracy_score(noise, predictions)
    assert scores["macro_f1"] == pytest.approx(f1_score(noise, predictions, average="macro"))


def test_a_class_that_never_occurs_is_no_obstacle():
    z, y = blobs(3)
    scores = evaluate_classifier(train_classifier(z, y, 10, QUICK), z, y)
    assert scores["accuracy"] > 0.9 and scores["macro_f1"] > 0.9  # of the classes that occur


def test_the_linear_probe_learns():
    (z, y), (test_z, test_y) = blobs(5), blobs(5, seed=1)
    assert train_linear_classifier(z, y).score(test_z, test_y) > 0.9


def test_the_nearest_neighbours_learn():
    (z, y), (test_z, test_y) = blobs(5), blobs(5, seed=1)
    assert train_neighbours(z, y).score(test_z, test_y) > 0.9
    assert train_neighbours(z[:20], y[:20]).score(test_z, test_y) > 0.3  # fewer than the 40 that it takes elsewhere


def test_the_cnn_probe_sees_the_code_alone_and_learns(tiny):
    model = build_autoencoder("conv", 20)
    images, labels = tiny.split("train")
    model.initialise(images)
    config = TrainConfig(epochs=20, batch_size=32, linear_rate=1.0)
    probe = train_decoder_classifier(model, encode_images(model, images), labels, 10, config)
    codes, decoded = encode_images(model, tiny.x_test), model.decode(torch.zeros(1, 20))
    assert evaluate_classifier(probe, codes, tiny.y_test)["accuracy"] > 0.5
    assert torch.equal(probe.autoencoder.decode(torch.zeros(1, 20)), decoded)
    assert not any(parameter.requires_grad for parameter in probe.autoencoder.parameters())


def test_a_frozen_decoder_with_dropout_and_batch_norm_stays_as_it_is(tiny):
    model = build_autoencoder("conv", 6)
    model.refine = nn.Sequential(model.refine, nn.Dropout(0.5), nn.BatchNorm2d(3))
    z = encode_images(model, tiny.x_train)
    probe = train_decoder_classifier(model, z, tiny.y_train, 10, QUICK)
    assert same_weights(probe.autoencoder, model)


def test_a_classifier_in_training_predicts_as_one_that_is_ready():
    model = LatentClassifier(6, 3).train()
    logits, before = predict_logits(model, Z), model.layers[1].running_mean.clone()
    assert np.allclose(predict_logits(model, Z[:5]), logits[:5], rtol=1e-4, atol=1e-3)
    assert torch.equal(model.layers[1].running_mean, before)


def test_the_cnn_probe_needs_a_decoder_and_its_codes():
    with pytest.raises(ValueError, match="random has no trained decoder"):
        train_decoder_classifier(build_autoencoder("random", 6), Z, Y, 3, QUICK)
    with pytest.raises(ValueError, match=r"codes must be a float tensor \(N, 5\)"):
        train_decoder_classifier(build_autoencoder("conv", 5), Z, Y, 3, QUICK)


def test_a_list_of_views_starts_over_and_a_generator_must_last():
    z, y = blobs(3)
    config = replace(QUICK, epochs=4)
    listed = train_classifier([z, z + 1], y, 3, config)
    assert same_weights(listed, train_classifier((view for view in [z, z + 1, z, z + 1]), y, 3, config))
    with pytest.raises(ValueError, match="4 epochs need as many views of the images; there were only 2"):
        train_classifier(iter([z, z + 1]), y, 3, config)
    with pytest.raises(ValueError, match="as many numbers, not 6 and 5"):
        train_classifier([z, z[:, :5]], y, 3, config)


def test_codes_of_another_width_are_refused():
    classifier = train_classifier(Z, Y, 3, QUICK)
    with pytest.raises(ValueError, match="trained on codes of 6 numbers, not 5"):
        evaluate_classifier(classifier, Z[:, :5], Y)


Z, Y = blobs(3)


@pytest.mark.parametrize(
    ("z", "y", "message"),
    [
        (Z[0], Y, "2D array"),
        (Z[:0], Y[:0], "0 sample"),
        (Z.tolist(), Y, "2D array"),  # a list is of views
        (Z + 1j, Y, "Complex"),
        ([], Y, "there were only 0"),
        (np.where(Z > Z.mean(), np.nan, Z), Y, "NaN"),
        (np.where(Z > Z.mean(), np.inf, Z), Y, "infinity"),
        (np.where(Z > Z.mean(), 1e300, Z.astype(float)), Y, "infinity"),
        (Z, Y[:-1], "399 labels for 400"),
        (Z, Y + 1, "must lie in 0 to 2"),
        (Z, Y - 1, "must lie in 0 to 2"),
        (Z, Y.astype(float), "integer array"),
        (Z, Y.astype(str), "integer array"),
        (Z[:1], Y[:1], "two at least"),
    ],
)
def test_wrong_codes_and_labels_are_refused(z, y, message):
    with pytest.raises(ValueError, match=message):
        train_classifier(z, y, 3, QUICK)


def test_bits_of_the_class_are_those_of_information_theory():
    y = np.arange(1000) % 4
    assert class_bits(np.zeros((1000, 4)), y) == pytest.approx(0)
    assert class_bits(50 * np.eye(4)[y], y) == pytest.approx(2)
    one_of_two = 50 * (np.arange(4) // 2 == y[:, None] // 2)
    assert class_bits(one_of_two, y) == pytest.approx(1)


def test_the_temperature_is_that_of_the_labels():
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((20_000, 5))
    y = np.array([rng.choice(5, p=np.exp(row) / np.exp(row).sum()) for row in logits])
    assert fit_temperature(3 * logits, y) == pytest.approx(3, rel=0.05)
    best = class_bits(logits, y)
    assert (
        class_bits(3 * logits, y) < best and class_bits(3 * logits / fit_temperature(3 * logits, y), y) >= best - 1e-6
    )
