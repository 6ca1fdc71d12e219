"""What several modules share: paths, seeds, the device and its precision, atomic writes."""

import inspect
import io
import os
import random
import tempfile
import warnings
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parents[1]
DATA_DIR = ROOT / "data"
MODELS_DIR = ROOT / "models"
REPORTS_DIR = ROOT / "reports"


def seed_everything(seed):
    """Seed Python, NumPy and torch, on every device."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def get_device():
    """The CUDA device where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class AdamW(torch.optim.AdamW):
    """torch's AdamW, step for step, without the compiler that torch loads at an optimiser's first use.

    Nothing is compiled here, and it would take two seconds and 0.14 GiB of every worker.
    """

    # the functions themselves, from under the wrappers that load it
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))
    zero_grad = inspect.unwrap(torch.optim.AdamW.zero_grad)
    add_param_group = inspect.unwrap(torch.optim.AdamW.add_param_group)
    state_dict = inspect.unwrap(torch.optim.AdamW.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.AdamW.load_state_dict)


def mixed_precision(device):
    """A context that computes in bfloat16 where the hardware has it natively, and in float32 elsewhere.

    On a processor with the instructions it trains about 1.5 times as fast; without them it would be slower.
    """
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = _cpu_has_bfloat16()
    return torch.autocast(device.type, torch.bfloat16, enabled=native)


def in_precision(x):
    """The float tensor `x` as what the surrounding `mixed_precision` computes in, if any, so that no later step converts it."""
    return x.to(torch.get_autocast_dtype(x.device.type)) if torch.is_autocast_enabled(x.device.type) else x


def precision():
    """The name of what `mixed_precision` computes in on this machine: bfloat16 or float32."""
    with mixed_precision(get_device()) as context:
        return "bfloat16" if context._enabled else "float32"


def _cpu_has_bfloat16():
    if not hasattr(torch.cpu, "get_capabilities"):  # torch older than 2.11
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def add_noise(x, std):
    """`x`, a float batch in [0, 1], with normal noise of standard deviation `std` on every number, clipped to [0, 1]."""
    return (x + std * torch.randn_like(x)).clamp(0, 1)


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
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes files that only their owner can read
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def save_atomically(tensors, path):
    """Write a dictionary of tensors and plain values to `path`, all or nothing."""
    buffer = io.BytesIO()  # torch's own writer reports a full disk as something else
    torch.save(tensors, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_safely(path):
    """What `save_atomically` wrote, on the CPU; None where the file is not as it was written. No code is executed."""
    try:
        with zipfile.ZipFile(path) as file:  # which is what torch writes, with a checksum of every part
            if file.testzip() is None:
                return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # whatever the readers make of a damaged file
        warnings.warn(f"{path} is damaged: {error}", stacklevel=2)
    return None


@contextmanager
def one_thread():
    """Compute on one thread: results are the same bit for bit wherever and beside whatever a block runs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)
