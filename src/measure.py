"""What is measured of a trained autoencoder: the image it keeps, what its code costs, the class that can be read."""

import time

import numpy as np
import torch

from src.autoencoder import MAX_LATENT_DIM, bits_per_dimension, kl_divergence
from src.classifier import (
    predict_logits,
    score_logits,
    train_classifier,
    train_decoder_classifier,
    train_linear_classifier,
    train_neighbours,
)
from src.train import code_views, encode_images, evaluate, image_batches, reconstruction_errors
from src.utils import add_noise

ACTIVE_NATS = 0.01  # a unit whose mean divergence from the prior is above this counts as carrying information


def measure_reconstruction(model, dataset):
    """Errors of the reconstruction from the deterministic code, clipped to [0, 1], on validation and test images."""
    (validation, _), (test, _) = dataset.split("validation"), dataset.split("test")
    errors = reconstruction_errors(model, test)
    return {
        "val_mse": reconstruction_errors(model, validation).mean(),
        "test_mse": errors.mean(),
        "test_psnr_db": -10 * np.log10(np.maximum(errors, 1e-10)).mean(),
    }


@torch.no_grad()
def measure_information(model, dataset):
    """What a VAE's code costs on the test images: nats, bits a dimension of the bound, and units in use."""
    (validation, _), (test, _) = dataset.split("validation"), dataset.split("test")
    variance = evaluate(model, validation)["reconstruction"]  # the decoder's, which must not come from the test split
    kl = torch.cat([kl_divergence(*model.posterior(x)).cpu() for x in image_batches(model, test)])
    kl_nats = kl.sum(1).mean().item()
    return {
        "kl_nats": kl_nats,
        "bits_per_dim": bits_per_dimension(kl_nats, evaluate(model, test)["reconstruction"], variance),
        "active_units": (kl.mean(0) > ACTIVE_NATS).sum().item(),
    }


@torch.no_grad()
def noisy_errors(model, images, levels, seed=0):
    """The mean squared error against clean uint8 images (N, 32, 32, 3) of what is rebuilt from noisy ones.

    `levels` are standard deviations of the noise on pixels in [0, 1]; returns a dict a level: `noise` and `mse`.
    """
    rows = []
    for level in levels:
        torch.manual_seed(seed)  # the same noise for every model
        sums = 0.0
        for x in image_batches(model, images):
            sums += (model.decode(model.encode(add_noise(x, level))) - x).square().mean((1, 2, 3)).sum().item()
        rows.append({"noise": level, "mse": sums / len(images)})
    return rows


def read_code(model, dataset, settings, seed=0, convolutions=False):
    """Let readers from weak to strong learn the class from the codes of the training images; score them on the test's.

    The two networks see a new view of every image each epoch, moved and mirrored before it is encoded. Returns the
    row, the multilayer perceptron and its test predictions. With `convolutions` the slowest reader, which looks
    through the decoder, is among them, and so is what the two networks say together, their logits added.
    """
    (images, labels), (test, truth) = dataset.split("train"), dataset.split("test")
    test_codes, n_classes = encode_images(model, test), len(dataset.classes)
    if model.latent_dim > MAX_LATENT_DIM:  # the pixels themselves: several views at a time would fill the memory
        codes, views = encode_images(model, images), code_views(model, images, settings.mlp.epochs, seed)
    else:
        codes, *_ = views = list(code_views(model, images, settings.views, seed))
    classifier = train_classifier(views, labels, n_classes, settings.mlp, seed)
    mlp = predict_logits(classifier, test_codes)
    scores = score_logits(mlp, truth)
    row = {
        "accuracy_linear": train_linear_classifier(codes, labels, model.linear_penalty).score(test_codes, truth),
        "accuracy_knn": train_neighbours(codes, labels).score(test_codes, truth),
        "accuracy_mlp": scores["accuracy"],
        "top5_mlp": scores["top5"],
        "macro_f1_mlp": scores["macro_f1"],
    }
    if convolutions:
        start = time.perf_counter()
        if model.latent_dim > MAX_LATENT_DIM:
            views = code_views(model, images, settings.convolutions.epochs, seed)
        reader = train_decoder_classifier(model, views, labels, n_classes, settings.convolutions, seed)
        conv = predict_logits(reader, test_codes)
        row["accuracy_conv"] = score_logits(conv, truth)["accuracy"]
        row["accuracy_both"] = score_logits(mlp + conv, truth)["accuracy"]
        row["conv_reader_seconds"] = time.perf_counter() - start
    return row, classifier, scores["predictions"]
