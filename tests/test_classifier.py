import copy

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from src.autoencoder import AUTOENCODERS, build_autoencoder
from src.classifier import (
    ClassifierConfig,
    evaluate_classifier,
    per_class_report,
    predict_logits,
    train_classifier,
    train_decoder_classifier,
    train_linear_classifier,
    train_neighbours,
)
from src.experiment import Settings
from src.measure import read_code
from src.train import encode_images

QUICK = ClassifierConfig(epochs=5, batch_size=64)


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


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_the_encoder_does_not_move_while_classifiers_train(name, tiny):
    model = build_autoencoder(name, 5)
    before = copy.deepcopy(model.state_dict())
    read_code(model, tiny, Settings(views=2, mlp=QUICK, convolutions=QUICK), convolutions=True)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_seed_decides_the_classifier():
    z, y = blobs(3)
    first, same, other = (train_classifier(z, y, 3, QUICK, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert not torch.equal(first["layers.0.weight"], other["layers.0.weight"])


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
    assert scores["accuracy"] > 0.9 and scores["macro_f1"] < 0.4


def test_the_linear_reader_learns():
    (z, y), (test_z, test_y) = blobs(5), blobs(5, seed=1)
    assert train_linear_classifier(z, y).score(test_z, test_y) > 0.9


def test_the_nearest_neighbours_learn():
    (z, y), (test_z, test_y) = blobs(5), blobs(5, seed=1)
    assert train_neighbours(z, y).score(test_z, test_y) > 0.9


def test_the_convolutional_reader_sees_the_code_alone_and_learns(tiny):
    model = build_autoencoder("conv", 20)
    images, labels = tiny.split("train")
    model.prepare(images)
    reader = train_decoder_classifier(model, encode_images(model, images), labels, 10, ClassifierConfig(30, 32))
    codes, decoded = encode_images(model, tiny.x_test), model.decode(torch.zeros(1, 20))
    assert evaluate_classifier(reader, codes, tiny.y_test)["accuracy"] > 0.5
    assert torch.equal(reader.decoder.decode(torch.zeros(1, 20)), decoded)
    assert not any(parameter.requires_grad for parameter in reader.decoder.parameters())


def test_a_list_of_views_starts_over_and_a_generator_must_last():
    z, y = blobs(3)
    listed = train_classifier([z, z + 1], y, 3, ClassifierConfig(4, 64)).state_dict()
    written_out = train_classifier([z, z + 1, z, z + 1], y, 3, ClassifierConfig(4, 64)).state_dict()
    assert all(torch.equal(listed[key], written_out[key]) for key in listed)
    with pytest.raises(ValueError, match="4 epochs need as many views of the images; there were only 2"):
        train_classifier(iter([z, z + 1]), y, 3, ClassifierConfig(4, 64))


def test_the_report_has_a_row_a_class():
    report = per_class_report(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), ("cat", "dog", "eel"))
    assert list(report.index) == ["cat", "dog", "eel"]
    assert report.loc["cat", "recall"] == 0.5 and report.loc["eel", "f1-score"] == 0


def test_vectors_of_another_width_are_refused():
    classifier = train_classifier(Z, Y, 3, QUICK)
    with pytest.raises(ValueError, match="trained on vectors of 6 numbers, not 5"):
        evaluate_classifier(classifier, Z[:, :5], Y)


Z, Y = blobs(3)


@pytest.mark.parametrize(
    ("z", "y", "message"),
    [
        (Z.astype(int), Y, "float array"),
        (Z[0], Y, "float array"),
        (Z[:0], Y[:0], "N, d > 0"),
        (Z.tolist(), Y, "float array"),
        (np.where(Z > Z.mean(), np.nan, Z), Y, "finite"),
        (np.where(Z > Z.mean(), np.inf, Z), Y, "finite"),
        (Z, Y[:-1], "399 labels for 400"),
        (Z, Y + 1, "must lie in 0 to 2"),
        (Z, Y - 1, "must lie in 0 to 2"),
        (Z, Y.astype(float), "integer array"),
        (Z, Y.astype(str), "integer array"),
        (Z[:1], Y[:1], "at least two"),
    ],
)
def test_wrong_vectors_and_labels_are_refused(z, y, message):
    with pytest.raises(ValueError, match=message):
        train_classifier(z, y, 3, QUICK)
