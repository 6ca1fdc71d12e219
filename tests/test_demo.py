"""The demo's page: what it shows follows the picture, the size and the data set; and in a browser, if there is one."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from src.utils import ROOT

gradio = pytest.importorskip("gradio")
sys.path.insert(0, str(ROOT / "run"))
import demo  # noqa: E402 (which is in no package)

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.pretrained, pytest.mark.filterwarnings("ignore")]  # gradio's own warnings


@pytest.fixture
def picture(sample):
    return demo.enlarged(sample.x_test[3])


def test_a_smaller_code_keeps_less_of_the_picture(picture):
    errors = []
    for step, size in enumerate(demo.LATENT_DIMS, 1):
        pixels, _, code, caption, pca, of_pca, probable = demo.show(picture, "CIFAR10", step)
        assert {image.size for image in (pixels, code, pca)} == {(256, 256)}
        assert caption.startswith(f"{size} numbers, half pixels, half features") and f"{size} numbers, PCA" in of_pca
        assert len(probable) == 10 and np.isclose(sum(probable.values()), 1, atol=1e-5)
        errors.append([float(text.partition("MSE ")[2]) for text in (caption, of_pca)])
    assert (np.diff(errors, axis=0) < 0).all()
    assert np.abs(np.asarray(pixels.resize((32, 32), 0), int) - demo.prepared(picture)[0]).max() == 0


def test_the_page_starts_behind_a_proxy_and_beside_another_users_files():
    code = "import os, demo; print(os.environ['GRADIO_TEMP_DIR'], os.path.isdir(demo.OWN_FILES.name), os.stat(demo.OWN_FILES.name).st_uid); print(os.environ['no_proxy'])"
    outside = {name: value for name, value in os.environ.items() if name not in ("GRADIO_TEMP_DIR", "no_proxy")}
    how = {"cwd": ROOT / "run", "env": outside | {"http_proxy": "http://proxy:1", "no_proxy": "intranet"}}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, **how)
    folder, is_there, owner, no_proxy = found.stdout.split()
    assert (
        (is_there, int(owner)) == ("True", os.getuid()) and Path(folder).name != "gradio" and not Path(folder).exists()
    )
    assert no_proxy == "intranet,localhost,127.0.0.1"


def test_the_classes_are_those_of_the_data_set(picture):
    assert len(demo.show(picture, "CIFAR100", 1)[-1]) == 100
    assert demo.show(None, "CIFAR10", 1) == [None, "", None, "", None, "", {}]
    assert demo.neighbours(None, "CIFAR10", 1) is None


def test_the_coarser_the_numbers_the_fewer_the_bytes(picture):
    captions = [demo.show(picture, "CIFAR10", 2, coarse)[3] for coarse in range(len(demo.STEPS))]
    counts = [int(re.search(r"(\d+) bytes", caption)[1]) for caption in captions]
    assert counts[0] == 80 and counts == sorted(counts, reverse=True) and counts[-1] < 12


def test_the_nearest_images_are_there_where_the_data_are(picture, monkeypatch):
    known = demo.training_images("CIFAR10")[:50]
    monkeypatch.setattr(demo, "training_images", lambda dataset: known if dataset == "CIFAR10" else None)
    demo.codes.cache_clear()
    assert demo.neighbours(picture, "CIFAR10", 1).size == (256 * demo.SHOWN, 256)
    assert demo.neighbours(picture, "CIFAR100", 1) is None
    demo.codes.cache_clear()


@pytest.mark.skipif(BROWSER is None, reason="no browser is installed")
def test_a_browser_shows_another_picture_for_another_size():
    playwright = pytest.importorskip("playwright.sync_api")
    page, errors = demo.build(), []
    _, address, _ = page.launch(prevent_thread_lock=True, quiet=True, inbrowser=False)
    with closing(page), playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        tab = browser.new_page()
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(address)
        tab.locator("button.gallery-item").nth(3).click()
        tab.get_by_text("100 numbers, PCA").wait_for(timeout=60_000)
        before, probable = tab.locator("#code img").get_attribute("src"), tab.locator("#class").inner_text()
        tab.locator("input[type=range]").first.fill("1")
        tab.get_by_text("10 numbers, PCA", exact=False).wait_for(timeout=60_000)
        tab.wait_for_function("old => document.querySelector('#code img').src != old", arg=before)
        assert tab.locator("#class").inner_text() != probable and "%" in probable
        assert tab.locator(".error, .toast-body.error").count() == 0
        browser.close()
    assert errors == []
