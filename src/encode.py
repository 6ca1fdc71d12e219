"""A trained model on arrays: images to latent codes, codes to images, and the random views that probes are trained on."""

import numpy as np
import torch
import torch.nn.functional as F

from src.utils import check_images, check_latents, for_torch, mixed_precision, whole_number

BATCH = 200
SHIFT = 2  # pixels


@torch.no_grad()
def encode_images(model, images):
    """The latent codes of uint8 images (N, 32, 32, 3), float32 (N, latent_dim); no weight or buffer of the model changes."""
    return np.concatenate([model.encode(x).cpu().numpy() for x in image_batches(model, images)])


@torch.no_grad()
def decode_codes(model, z):
    """The images of latent codes, float (N, latent_dim), as float32 (N, 32, 32, 3) in [0, 1]."""
    model.eval()
    parts = torch.from_numpy(check_latents(z)).split(BATCH)
    return np.concatenate([_to_images(model.decode(part.to(device_of(model)))) for part in parts])


@torch.no_grad()
def reconstruct_images(model, images):
    """What the model makes of uint8 images (N, 32, 32, 3): float32 (N, 32, 32, 3) in [0, 1]."""
    return np.concatenate([_to_images(model(x)) for x in image_batches(model, images)])


@torch.no_grad()
def reconstruction_errors(model, images):
    """The mean squared error of each image (N,), over pixels and channels of images in [0, 1]."""
    errors = [(model(x) - x).square().mean((1, 2, 3)) for x in image_batches(model, images)]
    return torch.cat(errors).cpu().numpy()


@torch.no_grad()
def encode_views(model, images, count, seed=0, features=None):
    """Yield the latent codes of `count` views of uint8 images (N, 32, 32, 3), each float32 (N, latent_dim).

    The first view is the images as they are; all the others are shifted and mirrored at random. Networks that are trained
    on codes take one view an epoch: the encoder is frozen, what varies is the image that it sees. `features` are those of a
    FeatureAutoencoder, where they are known: by kind a list of float (N, SIZE), one for each view.
    """
    generator = torch.Generator().manual_seed(whole_number(seed, "seed", 0, 2**32 - 1))
    for view in range(count):
        codes = []
        for start, x in zip(range(0, len(images), BATCH), image_batches(model, images), strict=True):
            x = random_view(x, generator) if view else x
            with mixed_precision(x.device):
                if features is None:
                    z = model.encode(x)
                else:
                    known = {kind: views[view][start : start + BATCH] for kind, views in features.items()}
                    z = model.encode_with(x, {kind: torch.from_numpy(v).to(x.device) for kind, v in known.items()})
            codes.append(z.cpu().numpy())
        yield np.concatenate(codes)


def image_batches(model, images):
    """uint8 images (N, 32, 32, 3) as the batches that `model` takes, on its device; puts the model in eval mode."""
    check_images(images)
    model.eval()
    for start in range(0, len(images), BATCH):
        yield to_batch(images[start : start + BATCH], device_of(model))


def to_batch(images, device):
    """uint8 images (N, 32, 32, 3) as the float32 batch (N, 3, 32, 32) in [0, 1] that models take."""
    return torch.from_numpy(for_torch(images)).to(device).permute(0, 3, 1, 2).float().div_(255)


def random_view(x, generator=None, shift=SHIFT):
    """A batch of images (N, 3, 32, 32), each shifted by up to `shift` pixels both ways, and mirrored or not, at random.

    Drawn from `generator`, a torch.Generator on the CPU, or from torch's own.
    """
    down, right = torch.randint(2 * shift + 1, (2, len(x), 1), generator=generator)
    mirrored = torch.randint(2, (len(x), 1), generator=generator) == 1
    rows, columns = torch.arange(x.shape[2]), torch.arange(x.shape[3])
    rows, columns = down + rows, right + torch.where(mirrored, columns.flip(0), columns)
    padded = F.pad(x, (shift,) * 4, mode="reflect").permute(0, 2, 3, 1)
    return padded[torch.arange(len(x))[:, None, None], rows[:, :, None], columns[:, None]].permute(0, 3, 1, 2)


def device_of(model):
    """The device that the model's parameters or buffers are on; the CPU where it has none."""
    return next((tensor.device for tensor in model.state_dict().values()), torch.device("cpu"))


def _to_images(x):
    return x.permute(0, 2, 3, 1).cpu().numpy()
