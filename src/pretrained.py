"""Weights that others have trained: from torch's cache or the net, or an error that says what to do."""

import io
import socket
from contextlib import contextmanager, redirect_stderr, redirect_stdout


class WeightsUnavailableError(RuntimeError):
    """The pretrained weights are neither on this machine nor to be had; the message says where they may be put."""


def imagenet_weights():
    """The weights of torchvision's ResNet-18, from torch's cache or, where it has none, from the net."""
    from torchvision.models import ResNet18_Weights

    weights = ResNet18_Weights.DEFAULT
    try:
        # torch says what it puts into which folder, on either stream, and a notebook would keep it
        with _patience(seconds=10), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            return weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:  # the latter where what came is not what was asked for
        file = weights.url.rpartition("/")[2]
        raise WeightsUnavailableError(
            f"torchvision's weights of a ResNet-18, {file}, could not be had ({error}); the file may be put into the folder "
            "checkpoints of torch.hub.get_dir()"
        ) from error


def why_no_transfer():
    """Why there can be no ResNetCode, in a sentence; empty where its weights are here."""
    try:
        imagenet_weights()
    except WeightsUnavailableError as error:
        return str(error)
    return ""


@contextmanager
def _patience(seconds):
    """Give up on a server that says nothing for so long, also where a library has no setting for it."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
