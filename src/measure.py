"""What is measured of a trained autoencoder: the image it keeps, what its code costs, the class that can be read."""

import numpy as np
import torch

from src.autoencoder import bits_per_dimension, kl_divergence
from src.classifier import evaluate_classifier, train_classifier, train_linear_classifier
from src.train import encode_images, evaluate, image_batches, reconstruction_errors

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


def read_code(model, dataset, config, seed):
    """Train both readers on the codes of the training images and their mirror images; score them on the test codes."""
    (images, labels), (test, test_labels) = dataset.split("train"), dataset.split("test")
    n_classes = len(dataset.classes)
    codes, test_codes = encode_images(model, images), encode_images(model, test)
    mirrored = encode_images(model, images[:, :, ::-1])
    linear = train_linear_classifier(codes, labels)
    both = np.concatenate([codes, mirrored]), np.concatenate([labels, labels])
    scores = evaluate_classifier(train_classifier(*both, n_classes, config, seed), test_codes, test_labels)
    row = {
        "accuracy_linear": linear.score(test_codes, test_labels),
        "accuracy_mlp": scores["accuracy"],
        "top5_mlp": scores["top5"],
        "macro_f1_mlp": scores["macro_f1"],
    }
    return row, scores["predictions"]
