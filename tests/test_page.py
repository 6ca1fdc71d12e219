"""The report as a web page, in a real browser: every figure is there, nothing has failed, and it fits a phone."""

import re
import shutil
import subprocess
import sys

import nbformat
import pytest

from src.utils import ROOT

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The committed notebook as the page that `make run` leaves."""
    folder = tmp_path_factory.mktemp("report")
    look = ["--template", "report", f"--TemplateExporter.extra_template_basedirs={ROOT / 'run'}"]
    command = [sys.executable, "-m", "nbconvert", "--to", "html", *look, "--output-dir", folder]
    subprocess.run([*command, ROOT / "run" / "master_notebook.ipynb"], check=True, capture_output=True)
    return folder / "master_notebook.html"


def figures():
    notebook = nbformat.read(ROOT / "run" / "master_notebook.ipynb", as_version=4)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return sum("image/png" in output.get("data", {}) for output in outputs)


def test_it_is_one_file_with_its_code_folded(page):
    text = page.read_text(encoding="utf-8")
    assert text.count('<details class="code">') > 15 and "<details open" not in text
    images = re.findall(r"<img[^>]*>", text)
    assert sum('src="data:image/png' in image for image in images) == figures() and 'src="http' not in "".join(images)
    assert all('alt="No description' not in image and "alt=" in image for image in images)


@pytest.mark.skipif(BROWSER is None, reason="no browser is installed")
@pytest.mark.parametrize("width", [1200, 390])
def test_a_browser_shows_every_figure_and_no_error(page, width, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    errors = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": width, "height": 900})
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.route("http*://**", lambda route: route.abort())  # what is read from elsewhere must not be missed
        tab.goto(page.as_uri(), wait_until="load")
        shown = tab.evaluate("[...document.images].filter(i => i.naturalWidth > 0 && i.offsetWidth > 0).length")
        assert shown == figures()
        assert tab.evaluate("Math.max(...[...document.images].map(i => i.offsetWidth))") <= width
        assert tab.locator("nav#contents a").count() >= 8
        assert tab.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
        assert [error for error in errors if "require" not in error and "MathJax" not in error] == []
        browser.close()
