"""The class of an image, read from its latent code alone."""

import pandas as pd
import torch

from src.classifier import predict_logits
from src.encode import encode_images
from src.images import prepare_images
from src.pretrained import TrainedModel, load_pretrained, load_trained


def classify(images, model=None, folder=""):
    """Class probabilities of images, from their latent codes alone: a table, a row an image, a column a class.

    `images` as `prepare_images` takes them. `model` is a TrainedModel, by default the pretrained one of CIFAR-10 with 100
    numbers; or an Experiment that has been run, in the study's `folder`, or the path of its checkpoint. The probabilities are
    the softmax of the MLP probe. Raises ValueError for other images, and where there is no such checkpoint.
    """
    model = load_pretrained() if model is None else model
    model = model if isinstance(model, TrainedModel) else load_trained(model, folder)
    logits = predict_logits(model.classifier, encode_images(model.autoencoder, prepare_images(images)))
    return pd.DataFrame(torch.from_numpy(logits).softmax(1).numpy(), columns=model.classes)
