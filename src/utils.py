"""What several modules share: paths, checks of inputs, seeds, the device, files that are written whole or not at all."""

import errno
import hashlib
import io
import numbers
import os
import tempfile
import warnings
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from sklearn.utils import check_array
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parents[1]
DATA_DIR = ROOT / "data"
MODELS_DIR = ROOT / "models"
REPORTS_DIR = ROOT / "reports"
NOT_KNOWN = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EPERM, errno.EACCES)


def whole_number(value, name, low, high=None):
    """`value` as an int where it is a whole number from `low` to `high`, Python's or NumPy's; else a ValueError."""
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_whole or value < low or (high is not None and value > high):
        limits = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name} must be a whole number {limits}, not {value!r}")
    return int(value)


def as_bytes(images):
    """Images as they are stored, uint8: floats in [0, 1] rounded to 256 levels, all else as it is; else a ValueError."""
    if images.dtype.kind != "f" or not images.size:
        return images
    if not (images.min() >= 0 and images.max() <= 1):  # written so that NaN fails too
        raise ValueError(f"float images must lie in [0, 1], not in [{images.min():.4g}, {images.max():.4g}]; clip them")
    return np.rint(255 * images).astype(np.uint8)


def check_images(images, what="images"):
    """Raise a ValueError unless `images` is a uint8 array (N, 32, 32, 3) with N > 0."""
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape[1:] != (32, 32, 3):
        raise ValueError(f"{what} must be a uint8 array (N, 32, 32, 3), not {describe(images)}")
    if len(images) == 0:
        raise ValueError(f"{what} holds no image; at least one is needed")


def check_labels(labels, n_classes=None, what="labels"):
    """`labels` as an int64 array (N,) where they are integers, in [0, n_classes) if that is given; else a ValueError."""
    labels = labels if isinstance(labels, np.ndarray) else np.asarray(labels)
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise ValueError(f"{what} must be an integer array (N,), not {describe(labels)}")
    if n_classes and len(labels) and not (0 <= labels.min() and labels.max() < n_classes):
        raise ValueError(f"{what} spans {labels.min()} to {labels.max()}; labels must lie in 0 to {n_classes - 1}")
    return labels.astype(np.int64, copy=False)


def check_latents(z, what="codes"):
    """`z` as a float32 array (N, d) where it is an array, frame or list of finite numbers with N, d > 0; else a ValueError."""
    with np.errstate(over="ignore", invalid="ignore"):  # what becomes infinite is refused
        return for_torch(check_array(z, dtype=np.float32, input_name=what))


def for_torch(array):
    """`array` as `torch.from_numpy` takes it, itself where that is so: contiguous, writable and not reversed."""
    array = np.require(array, requirements="CW")
    return array.copy() if any(stride < 0 for stride in array.strides) else array


def describe(array):
    """A short name for what was given in place of the array that was wanted."""
    return f"{array.dtype} {tuple(array.shape)}" if hasattr(array, "dtype") else type(array).__name__


@contextmanager
def seeded(seed):
    """Let torch draw from `seed`, a whole number from 0 to 2**32 - 1; afterwards its generators are as they were before."""
    seed, before = whole_number(seed, "seed", 0, 2**32 - 1), random_state()
    try:
        torch.manual_seed(seed)
        yield
    finally:
        set_random_state(before)


def random_state():
    """The state of torch's generators, on the CPU, every CUDA device and Apple's MPS, for `set_random_state`."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_random_state(state):
    """Put torch's generators where they were when `random_state` was called."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state:
        torch.cuda.set_rng_state_all(state["cuda"])
    if "mps" in state:
        torch.mps.set_rng_state(state["mps"])


def get_device():
    """The CUDA device where there is one, or Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def has_bfloat16(device):
    """Whether the device computes in bfloat16 natively; where it is emulated, it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    if not hasattr(torch.cpu, "get_capabilities"):  # torch older than 2.11
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def mixed_precision(device):
    """A context that computes in bfloat16 where the device has it natively, and in float32 elsewhere."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device))


class DamagedFileError(ValueError):
    """A file that is not as it was written; the message names it and says how to get it again."""


class WriteError(OSError):
    """A file could not be written: the disk is full, or the folder may not be written to. Nothing has changed."""


@contextmanager
def atomic_path(path):
    """Yield a temporary path beside `path` that takes its place when the block ends well, and vanishes when not.

    Raises WriteError where the system refuses; what was at `path` stays as it was.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _temporary_beside(path) as temporary:
            yield temporary
    except OSError as error:
        raise WriteError(f"{path} could not be written ({error}); what was there before is as it was") from error


@contextmanager
def _temporary_beside(path):
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    try:
        yield Path(temporary)
        with _ignoring_unsupported(), open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        with _ignoring_unsupported():
            os.chmod(temporary, 0o644)  # mkstemp makes files that only their owner can read
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


@contextmanager
def _ignoring_unsupported():
    """Pass by what a file system does not know: network shares and containers refuse to sync, or to change rights."""
    try:
        yield
    except OSError as error:
        if error.errno not in NOT_KNOWN:
            raise


def save_atomically(tensors, path):
    """Write a dictionary of tensors and plain values to `path`, all or nothing."""
    buffer = io.BytesIO()  # torch's own writer reports a full disk as something else
    torch.save(tensors, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_safely(path):
    """What `save_atomically` wrote, on the CPU; None where the file is not as it was written. No code is executed.

    Raises OSError where the system does not let it be read, which says nothing of what is in it.
    """
    data = Path(path).read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:  # which is what torch writes, with a checksum of every part
            if file.testzip() is None:
                return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # whatever a damaged file leads to
        warnings.warn(f"{path} is damaged: {error}", stacklevel=2)
    return None


@contextmanager
def one_thread():
    """Compute on one thread: results are the same bit for bit whatever else the machine does."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


def fingerprint(*arrays):
    """A checksum of arrays, 16 hexadecimal digits: the same for the same content."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()[:16]
