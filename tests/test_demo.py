"""The demo's page: what it shows follows the picture, the size and the rounding; and in a browser, if there is one."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.pretrained import classify
from src.utils import ROOT

gradio = pytest.importorskip("gradio")
sys.path.insert(0, str(ROOT / "run"))
import demo  # noqa: E402 (which is in no package)

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.pretrained, pytest.mark.filterwarnings("ignore")]  # gradio's own warnings


@pytest.fixture
def pictures():
    return list(demo.examples().values())


def shown(picture, size, rounding="as they are"):
    """The page's pixels; of each code by name the image, the caption and the classes; neighbours and all sizes."""
    pixels, _, *rest, near, sizes = demo.show(picture, size, rounding)
    return pixels, {name: rest[3 * i : 3 * i + 3] for i, name in enumerate(demo.CODES)}, near, sizes


def error_in(caption):
    return float(re.search(r"error ([\d.]+) thousandths", caption)[1])


def test_a_smaller_code_keeps_less_and_the_autoencoder_keeps_the_best_image(pictures):
    mean = {}
    for size in demo.LATENT_DIMS:
        found = [shown(picture, size)[1] for picture in pictures]
        mean[size] = [np.mean([error_in(codes[name][1]) for codes in found]) for name in ("conv", "pca")]
        assert mean[size][0] < mean[size][1]
    assert (np.diff(list(mean.values()), axis=0) < 0).all()


def test_the_page_sees_what_classify_sees(pictures, tmp_path):
    transparent = tmp_path / "transparent.png"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 4), np.uint8)
    Image.fromarray(pixels).save(transparent)
    of_16_bits = tmp_path / "16bits.png"
    Image.fromarray(np.linspace(0, 65_535, 64 * 64).astype(np.uint16).reshape(64, 64)).save(of_16_bits)
    for path in (pictures[0], transparent, of_16_bits):
        for name, (_, _, classes) in shown(str(path), 20)[1].items():
            assert np.allclose(list(classes.values()), classify(path, demo.trained(name, 20)).iloc[0], atol=1e-4)
            assert len(classes) == 10


def test_the_true_class_of_an_example_is_named_and_no_other(pictures, tmp_path):
    assert demo.show(pictures[0], 10, "fine")[1] == f"a test image, class: {Path(pictures[0]).stem}"
    own = tmp_path / "cat.png"
    Image.new("RGB", (32, 32)).save(own)
    assert demo.show(str(own), 10, "fine")[1] == ""


def test_what_cannot_be_read_is_named_in_a_sentence(tmp_path):
    path = tmp_path / "notes.png"
    path.write_text("no picture")
    with pytest.raises(gradio.Error, match=r"notes\.png"):
        demo.show(str(path), 10, "fine")


def test_an_empty_page_is_empty():
    pixels, codes, near, _ = shown(None, 10)
    assert pixels is near is None and all(part == [None, "", {}] for part in codes.values())


def test_the_coarser_the_numbers_the_fewer_the_bytes(pictures):
    captions = [shown(pictures[0], 20, rounding)[1]["conv"][1] for rounding in demo.ROUNDING]
    counts = [int(re.search(r"(\d+) bytes", caption)[1]) for caption in captions]
    assert counts[0] == 80 and counts == sorted(counts, reverse=True) and counts[-1] < 12


def test_all_sizes_are_side_by_side(pictures):
    width = 32 * demo.SCALE
    assert demo.show(pictures[0], 10, "fine", True)[-1].constructor_args["value"].size == (
        width * len(demo.LATENT_DIMS),
        width * len(demo.CODES),
    )


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


@pytest.mark.skipif(BROWSER is None, reason="no browser is installed")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_another_picture_for_another_size(width):
    playwright = pytest.importorskip("playwright.sync_api")
    page, errors = demo.build(), []
    _, address, _ = page.launch(prevent_thread_lock=True, quiet=True, inbrowser=False)
    with closing(page), playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": width, "height": 900})
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(address)
        tab.locator("#conv img").wait_for(timeout=60_000)
        before = tab.locator("#conv img").get_attribute("src")
        tab.get_by_label("10", exact=True).first.check()
        tab.wait_for_function("old => document.querySelector('#conv img').src != old", arg=before)
        assert "%" in tab.locator("#class-conv").inner_text()
        shown = "[...document.querySelectorAll('#pixels img, #conv img, #both_50 img, #pca img')].map(image => image.offsetWidth)"
        assert len(widths := tab.evaluate(shown)) == 4 and min(widths) > 0
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.locator(".error, .toast-body.error").count() == 0
        browser.close()
    assert errors == []
