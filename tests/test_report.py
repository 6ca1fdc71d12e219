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
def report(tmp_path_factory):
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


def test_it_is_one_file_with_its_code_folded(report):
    page = report.read_text()
    assert page.count('<details class="code">') > 40 and "<details open" not in page
    assert len(re.findall(r'<img[^>]*src="data:image/png', page)) == figures() and '<img src="http' not in page


@pytest.mark.skipif(BROWSER is None, reason="no browser is installed")
@pytest.mark.parametrize("width", [1200, 390])
def test_a_browser_shows_every_figure_and_no_error(report, width):
    playwright = pytest.importorskip("playwright.sync_api")
    errors = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.on("pageerror", lambda error: errors.append(error))
        page.route("http*://**", lambda route: route.abort())  # what is read from elsewhere must not be missed
        page.goto(report.as_uri(), wait_until="load")
        try:
            shown = page.evaluate("[...document.images].filter(i => i.naturalWidth > 0 && i.offsetWidth > 0).length")
            assert shown == figures()
            assert page.evaluate("Math.max(...[...document.images].map(i => i.offsetWidth))") <= width
            assert page.locator("nav#contents a").count() >= 10
            assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
            assert [str(error) for error in errors if "require" not in str(error) and "MathJax" not in str(error)] == []
        except AssertionError:
            page.screenshot(path=ROOT / "reports" / "sample" / f"report_{width}.png", full_page=True)
            raise
        finally:
            browser.close()
