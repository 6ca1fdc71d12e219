import os
import stat
import subprocess
import sys

import numpy as np
import pytest
import torch

from src import utils
from src.utils import ROOT, atomic_path, in_precision, mixed_precision, one_thread, seed_everything


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "deep" / "file.txt"
    with atomic_path(target) as path:
        path.write_text("first")
        assert not target.exists()
    assert target.read_text() == "first" and target.stat().st_mode & stat.S_IRGRP
    with pytest.raises(KeyboardInterrupt), atomic_path(target) as path:
        path.write_text("half of the sec")
        raise KeyboardInterrupt
    assert target.read_text() == "first"
    assert os.listdir(target.parent) == ["file.txt"]


def test_the_seed_reaches_numpy_and_torch():
    draws = []
    for seed in (0, 0, 1):
        seed_everything(seed)
        draws.append((np.random.rand(), torch.rand(1).item()))
    assert draws[0] == draws[1] != draws[2]


def test_one_thread_is_given_back():
    torch.set_num_threads(2)
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


@pytest.mark.parametrize("native", [True, False])
def test_low_precision_is_for_hardware_that_has_it(monkeypatch, native):
    monkeypatch.setattr(utils, "_cpu_has_bfloat16", lambda: native)
    with mixed_precision(torch.device("cpu")):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if native else torch.float32)


def test_paths_do_not_depend_on_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (utils.ROOT / "src" / "utils.py").exists() and utils.DATA_DIR == utils.ROOT / "data"


def test_a_tensor_takes_on_the_precision_about_it():
    x = torch.rand(3)
    assert in_precision(x) is x
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(in_precision(x), x.bfloat16())


def test_the_optimiser_steps_as_torch_does_and_loads_no_compiler():
    check = """
import sys, torch
from src.utils import AdamW

def learn(kind):
    torch.manual_seed(0)
    x, layer = torch.randn(8, 3), torch.nn.Linear(3, 4)
    optimizer = kind(layer.parameters(), 0.1, weight_decay=0.1, fused=True)
    for step in range(6):
        optimizer.zero_grad()
        layer(x).square().sum().backward()
        optimizer.step()
        if step == 2:
            state, optimizer = optimizer.state_dict(), kind(layer.parameters())
            optimizer.load_state_dict(state)
    return layer.weight

ours = learn(AdamW)
assert "torch._dynamo" not in sys.modules
assert torch.equal(ours, learn(torch.optim.AdamW))
assert torch.equal(ours, learn(AdamW))
"""
    subprocess.run([sys.executable, "-c", check], check=True, cwd=ROOT)
