import importlib
import sys

import nbformat
import pytest
from nbclient import NotebookClient

from src.source import code_of_class
from src.utils import ROOT

MODULE = """
import functools
import torch
from torch import nn
from src.autoencoder import ConvAutoencoder
from src.encode import random_view

FACTOR = 2

def look(x):
    return x - 1

def traced(function):
    @functools.wraps(function)
    def inner(*args):
        return function(*args)
    return inner

class Block(nn.Module):
    def forward(self, x):
        return x + 1

class Unused:
    pass

class Own(ConvAutoencoder):
    \"\"\"A docstring.\"\"\"

    kinds = {"one", "two", "three"}

    class Inner:
        value = 1

    def __init__(self, latent_dim):
        super().__init__(latent_dim)
        self.block = Block()

    @traced
    def loss(self, x):
        return {"total": FACTOR * super().loss(x)["total"] + look(random_view(x)).mean()}

    @torch.no_grad()
    def look(self, x):
        return x * 3
"""


@pytest.fixture
def code(tmp_path, monkeypatch):
    """The checksum of the class Own of a module of one's own, after its text was edited and the module reloaded."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def edited(old="", new=""):
        assert old in MODULE
        (tmp_path / "own_module.py").write_text(MODULE.replace(old, new) if old else MODULE)
        importlib.invalidate_caches()
        module = importlib.import_module("own_module")
        return code_of_class(importlib.reload(module).Own)

    yield edited
    sys.modules.pop("own_module", None)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x * 3", "x * 4"),  # of a decorated method
        ('FACTOR * super().loss(x)["total"]', 'super().loss(x)["total"]'),  # of one that a decorator of one's own wraps
        ("return function(*args)", "return None"),  # of that decorator
        ("x - 1", "x - 2"),  # of a function that has the name of a method
        ("x + 1", "x + 2"),  # of a block that the class uses
        ("FACTOR = 2", "FACTOR = 3"),
        ('"three"', '"four"'),
        ("value = 1", "value = 2"),  # of a nested class
    ],
)
def test_it_changes_with_what_the_class_does(code, old, new):
    assert code() != code(old, new)
    assert code() == code()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("A docstring.", "Another."),
        ("    kinds =", "    # a comment\n    kinds ="),
        ("class Unused:\n    pass", "class Unused:\n    kept = 1"),
    ],
)
def test_it_does_not_change_with_words_and_with_what_the_class_does_not_use(code, old, new):
    assert code() == code(old, new)


def test_it_is_the_same_in_another_process(code, tmp_path):
    import subprocess

    first = code()
    script = "import own_module, src.source; print(src.source.code_of_class(own_module.Own))"
    for seed in "123":  # the order of a set differs from process to process
        environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "PYTHONHASHSEED": seed, "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
        assert done.stdout.strip() == first, done.stderr


def test_it_changes_with_the_parts_of_this_repository_that_the_class_uses(code, monkeypatch):
    first = code()
    monkeypatch.setattr("src.encode.SHIFT", 3)
    assert code() != first


def test_what_can_no_longer_be_read_is_not_found_again(code):
    first = code()
    with pytest.warns(UserWarning, match="FACTOR is a ndarray, whose source text cannot be read"):
        assert code("FACTOR = 2", "import numpy\nFACTOR = numpy.array([2])") != first


def test_where_the_text_cannot_be_had_it_is_another_each_time():
    namespace = {"__name__": "__main__"}
    exec("from src.autoencoder import ConvAutoencoder\nclass Own(ConvAutoencoder):\n    pass", namespace)
    with pytest.warns(UserWarning, match="the source text of Own cannot be read; what Own has made is not found again"):
        codes = {code_of_class(namespace["Own"]) for _ in range(2)}
    assert len(codes) == 2


CELLS = [
    "from torch import nn\nfrom src.autoencoder import ConvAutoencoder\nfrom src.source import code_of_class",
    "class Block(nn.Module):\n    def forward(self, x):\n        return x + 1",
    "class Own(ConvAutoencoder):\n    def __init__(self, d):\n        super().__init__(d)\n        self.block = Block()",
    "print(code_of_class(Own))",
    "class Block(nn.Module):\n    def forward(self, x):\n        return x + 2",
    "print(code_of_class(Own))",
    "class Block(nn.Module):\n    def forward(self, x):\n        # a comment\n        return x + 1",
    "print(code_of_class(Own))",
    "class Own(ConvAutoencoder):\n    kept = 1\n\n    def __init__(self, d):\n        super().__init__(d)\n        self.block = Block()",
    "print(code_of_class(Own))",
]


def test_a_class_of_a_notebook_and_a_block_in_the_cell_above():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(ROOT)}}).execute()
    first, other_block, again, other_class = (c.outputs[0].text for c in notebook.cells if c.source.startswith("print"))
    assert first == again and len({first, other_block, other_class}) == 3


WORKERS = [
    *CELLS[:3],
    "import joblib\nimport src.source",
    "here, job = code_of_class(Own), joblib.delayed(lambda model: src.source.code_of_class(model))",
    "print({here, *joblib.Parallel(2)([job(Own), job(Own)])} == {here})",
]


def test_a_class_of_a_notebook_has_the_same_code_in_a_sweeps_workers():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in WORKERS])
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(ROOT)}}).execute()
    assert [output.text for output in notebook.cells[-1].outputs] == ["True\n"]  # and no warning
