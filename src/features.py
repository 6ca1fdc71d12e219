"""Autoencoders that keep the class without a label: a part of their code are features of patches, of a self-supervised network, or of both.

The dictionaries are learnt by k-means (Coates, Lee & Ng 2011, https://proceedings.mlr.press/v15/coates11a.html; Coates & Ng 2012,
https://doi.org/10.1007/978-3-642-35289-8_30); their responses are projected on what views of the same image agree on.
On why: Alberti et al. 2017, https://arxiv.org/abs/1703.04332 (a lower error of the pixels makes no better code for the class) and
Pihlgren, Sandin & Liwicki 2020, https://arxiv.org/abs/2001.03444 (a loss on features does).
"""

import time

import torch
import torch.nn.functional as F
from scipy.linalg import eigh
from sklearn.cluster import MiniBatchKMeans
from torch import nn

from src import self_supervised
from src.autoencoder import ConvAutoencoder, check_batch
from src.classifier import ResidualBackbone
from src.encode import BATCH, random_view, to_batch
from src.self_supervised import crop_view, train_view_network
from src.utils import has_bfloat16, seeded

PATCH, GRID = 6, 2  # pixels and quadrants a side
CENTRES = 800  # of each dictionary
COMPONENTS = 1200  # principal components of the responses, among which directions are looked for
SIZE = 100  # numbers of the longest code
LEARNT_FROM, VIEWS = 20_000, 4  # images, and views of each, from which the projection is learnt
SHRINKAGE = 0.1  # of the covariance within views, to its mean diagonal
PROJECTION_AREA = 0.4  # the least share of an image in the crops that a network's projection is learnt from
LEAST_OF_NETWORK = 10  # numbers of a code of both kinds that are a network's, the better kind for few numbers
JITTER = (0.3, 1), (0.3, 1), (0.15, 3)  # how far contrast, brightness and tint of a view go; for how many channels each


class PatchDictionary(nn.Module):
    """How much nearer than on average each centre of a dictionary is to the patches of an image, the mean over each quadrant.

    Takes images, float (N, 3, side, side) in [0, 1]; gives float32 (N, 4 CENTRES).
    """

    def __init__(self, stride):
        super().__init__()
        self.stride, numbers = stride, 3 * PATCH**2
        self.register_buffer("mean", torch.zeros(numbers))
        self.register_buffer("whitening", torch.zeros(numbers, numbers))
        self.register_buffer("centres", torch.zeros(CENTRES, numbers))

    def forward(self, x):
        if torch.compiler.is_exporting():  # for any number of images
            return self._respond(x)
        return torch.cat([self._respond(few) for few in x.split(8)])  # so few that they stay in the processor's cache

    def _respond(self, x):
        # ONNX's runtime has no bfloat16 on a CPU
        is_fast = has_bfloat16(x.device) and not torch.compiler.is_exporting()
        dtype = torch.bfloat16 if is_fast else torch.float32
        white = (patches_of(x, self.stride) - self.mean).flatten(0, 1).to(dtype) @ self.whitening.to(dtype)
        distances = (white @ (-2 * self.centres).T.to(dtype)).float()
        distances.add_(self.centres.square().sum(1)).add_(white.float().square().sum(1, keepdim=True))
        distances.clamp_(min=0).sqrt_()
        nearer = torch.sub(distances.mean(1, keepdim=True), distances, out=distances).clamp_(min=0)
        side = (x.shape[2] - PATCH) // self.stride + 1
        return F.adaptive_avg_pool2d(nearer.unflatten(0, (x.shape[0], side, side)).permute(0, 3, 1, 2), GRID).flatten(1)

    def learn(self, x, seed):
        """K-means of whitened patches of images `x`, forty of each image."""
        patches = patches_of(x, self.stride)
        patches = torch.cat([image[torch.randperm(len(image))[:40]] for image in patches])
        self.mean.copy_(patches.mean(0))
        values, vectors = torch.linalg.eigh(patches.T.cov())
        self.whitening.copy_(vectors @ torch.diag((values + 0.1).rsqrt()) @ vectors.T)
        white = (patches - self.mean) @ self.whitening
        kmeans = MiniBatchKMeans(
            CENTRES, n_init=1, batch_size=4096, max_no_improvement=None, max_iter=20, random_state=seed
        )
        self.centres.copy_(torch.from_numpy(kmeans.fit(white.numpy()).cluster_centers_))


def patches_of(x, stride):
    """All patches of images (N, 3, side, side), their contrast made alike: (N, positions, 108)."""
    patches = F.unfold(x, PATCH, stride=stride).transpose(1, 2)
    patches = patches - patches.mean(2, keepdim=True)
    return patches / (patches.square().mean(2, keepdim=True) + (10 / 255) ** 2).sqrt()


class Features(nn.Module):
    """Images, float (N, 3, 32, 32) in [0, 1] -> SIZE numbers of unit variance, float32 (N, SIZE), learnt without a label.

    They are the directions, among many responses to an image, in which images differ most and views of one image least.
    `learn` leaves the time that it took, interrupted training included, in `seconds`.
    """

    def __init__(self, responses):
        super().__init__()
        self.register_buffer("projection", torch.zeros(responses, SIZE))
        self.register_buffer("offset", torch.zeros(SIZE))

    def learn(self, images, seed, checkpoint=None):
        """Learn from uint8 images (N, 32, 32, 3); what takes long goes on from where `checkpoint`, a path, left it."""
        raise NotImplementedError

    def responses(self, x):
        """What directions are looked for in, float32 (N, many)."""
        raise NotImplementedError

    def view(self, x):
        """Random views of a batch of images, which the features are to be the same for."""
        raise NotImplementedError

    def forward(self, x):
        with torch.autocast(x.device.type, enabled=False):
            return self.responses(x) @ self.projection - self.offset

    def is_learnt(self):
        return bool(self.projection.any())

    def responses_to(self, images, view=lambda x: x):
        """Yield the responses to views of uint8 images (N, 32, 32, 3), a batch at a time."""
        for start in range(0, len(images), BATCH):
            yield self.responses(view(to_batch(images[start : start + BATCH], "cpu")))

    @torch.no_grad()
    def learn_projection(self, images):
        """Take the directions in which images differ most and views of one image least, a linear discriminant without labels.

        They are generalised eigenvectors of the covariance of all views against that of the views of an image.
        """
        responses = torch.cat([*self.responses_to(images)])
        mean, std = responses.mean(0), responses.std(0).clamp(min=1e-4)
        responses.sub_(mean).div_(std)
        components = torch.linalg.eigh(responses.T @ responses)[1][:, -COMPONENTS:]
        views = [responses @ components]
        for _ in range(VIEWS - 1):
            views.append(torch.cat([(few - mean) / std @ components for few in self.responses_to(images, self.view)]))
        centre = sum(views) / VIEWS
        total = _mean_covariance(views)
        within = _mean_covariance([view - centre for view in views])
        within += SHRINKAGE * within.diagonal().mean() * torch.eye(len(within))
        ends = [len(total) - SIZE, len(total) - 1]
        vectors = eigh(total.double().numpy(), within.double().numpy(), subset_by_index=ends)[1]
        directions = components @ torch.from_numpy(vectors[:, ::-1].copy()).float()
        # of unit variance, and for responses as they are, not standardised
        directions /= (responses @ directions).std(0).clamp(min=1e-6) * std[:, None]
        self.projection.copy_(directions)
        self.offset.copy_(mean @ directions)


def _mean_covariance(views):
    return sum(view.T.cov() for view in views) / VIEWS


class PatchFeatures(Features):
    """Features of two dictionaries of patches."""

    def __init__(self):
        super().__init__(2 * CENTRES * GRID**2)
        self.fine, self.coarse = PatchDictionary(stride=2), PatchDictionary(stride=1)

    def responses(self, x):
        """The square roots of the responses of both dictionaries, the coarse one's to images of half the size."""
        return torch.cat([self.fine(x), self.coarse(F.avg_pool2d(x, 2))], 1).sqrt()

    def view(self, x):
        return strong_view(x)

    @torch.no_grad()
    def learn(self, images, seed, checkpoint=None):
        """Learn from uint8 images (N, 32, 32, 3): first the dictionaries, then the projection of their responses."""
        start = time.thread_time()
        x = to_batch(images[:3_000], "cpu")
        self.fine.learn(x, seed)
        self.coarse.learn(F.avg_pool2d(x, 2), seed)
        self.learn_projection(images[:LEARNT_FROM])
        self.seconds = time.thread_time() - start


class NetworkFeatures(Features):
    """Features of a self-supervised network."""

    def __init__(self):
        super().__init__(4 * self_supervised.WIDTH)
        self.backbone = ResidualBackbone(self_supervised.WIDTH).requires_grad_(False)

    def responses(self, x):
        # the same for whoever asks; ONNX's runtime has no bfloat16 on a CPU
        is_fast = has_bfloat16(x.device) and not torch.compiler.is_exporting()
        with torch.autocast(x.device.type, torch.bfloat16, enabled=is_fast):
            return self.backbone(x).float()

    def view(self, x):
        return crop_view(x, PROJECTION_AREA)

    def learn(self, images, seed, checkpoint=None):
        """Learn from uint8 images (N, 32, 32, 3): first the network, from where `checkpoint` left it, then the projection."""
        network, history = train_view_network(images, checkpoint)
        start = time.thread_time()
        self.backbone = network.backbone.cpu().requires_grad_(False)
        self.learn_projection(images[:LEARNT_FROM])
        # training that was interrupted has begun in another process
        self.seconds = time.thread_time() - start + sum(epoch["seconds"] for epoch in history)


def strong_view(x):
    """A batch of images (N, 3, 32, 32), each shifted by up to 4 pixels, mirrored or not, with another contrast, brightness and tint."""
    x = random_view(x, shift=4)
    contrast, brightness, tint = ((1 + spread * (2 * torch.rand(len(x), n, 1, 1) - 1)) for spread, n in JITTER)
    mean = x.mean((1, 2, 3), keepdim=True)
    return (((x - mean) * contrast + mean) * brightness * tint).clamp(0, 1)


KINDS = {"patch_features": PatchFeatures, "network_features": NetworkFeatures}


def learn_features(kind, images, seed, checkpoint=None):
    """Features of a kind, by its name in KINDS, learnt from uint8 images (N, 32, 32, 3).

    With `checkpoint`, a path, the training of a network goes on from there when it was interrupted.
    """
    with seeded(seed):
        features = KINDS[kind]()
        features.learn(images, seed, checkpoint)
    return features.eval()


class FeatureAutoencoder(ConvAutoencoder):
    """A code whose numbers are features, all or a part; the rest is a convolutional autoencoder's, trained to complete them.

    `share`, from 0 to 1, is the part of the numbers that are features, and `of_network` the part of those that a self-supervised network
    finds (LEAST_OF_NETWORK at least, unless it is 0); the others are of patch dictionaries. Smaller codes have the first numbers of the
    same features. They are frozen; what is trained, to minimise the mean squared error, are the other numbers and the decoder of all.
    At least 20 training images are needed.
    """

    latent_dims = range(1, SIZE + 1)
    trained_with = "features"
    further_code = ("src.self_supervised", "src.study.shared")

    def __init__(self, latent_dim, share=1.0, of_network=0.0, **network):
        super().__init__(latent_dim, **network)
        for name, part in {"share": share, "of_network": of_network}.items():
            if not 0 <= part <= 1:
                raise ValueError(f"{name} must be from 0 to 1, not {part!r}")
        feature_count = round(share * self.latent_dim)
        self.pixel_count = self.latent_dim - feature_count
        if not self.pixel_count:
            self.stages = ("decoding",)
            self.features.requires_grad_(False)  # the convolutions before the numbers for pixels
        least = min(LEAST_OF_NETWORK, feature_count) if of_network else 0
        counts = {"network_features": max(least, round(of_network * feature_count))}
        counts["patch_features"] = feature_count - counts["network_features"]
        # a kind is kept also where a small code has none of its numbers, so that all sizes have the same parts
        needed = {"patch_features": of_network < 1, "network_features": of_network > 0}
        self.counts = {kind: counts[kind] for kind in KINDS if needed[kind]}
        for kind in self.counts:
            setattr(self, kind, KINDS[kind]())

    def extra_repr(self):
        return f"counts={self.counts}, pixel_count={self.pixel_count}"

    def train(self, mode=True):
        """Training mode, but for the features, which are frozen."""
        super().train(mode)
        for kind in self.counts:
            self.get_submodule(kind).eval()
        return self

    def encoder(self, x):
        return self._join(x, {kind: self.get_submodule(kind)(x) for kind in self.counts})

    def encode_with(self, x, features):
        """`encode(x)` where the features of all images of the batch are known, float (N, SIZE) by kind."""
        return self._join(check_batch(x, self.training), features).float()

    def _join(self, x, features):
        parts = [super().encoder(x)[:, : self.pixel_count]] if self.pixel_count else []
        parts += [features[kind][:, :count] for kind, count in self.counts.items()]
        return torch.cat(parts, 1)

    @torch.no_grad()
    def initialise(self, images):
        """Start at the features, principal components beside them, and the best linear decoder of both.

        The features are learnt from `images`, unless the model was given some that are.
        """
        for kind in self.counts:
            if not self.get_submodule(kind).is_learnt():
                with torch.enable_grad():
                    setattr(self, kind, learn_features(kind, images, torch.initial_seed() % 2**32))
        super().initialise(images)
        self.eval()
        x = to_batch(images[:10_000], "cpu")
        z = torch.cat([self.encode(part) * self.scale for part in x.split(BATCH)])
        flat = F.pixel_unshuffle(x, 4).flatten(1) - self.to_image.bias
        self.to_image.weight.copy_(torch.linalg.lstsq(z, flat).solution.T)

    def start_at(self, pca, components):
        super().start_at(pca, min(components, self.pixel_count))
