"""TensorBoard's pages of a short run, as a person sees them: a browser on a server.

``make screenshots`` trains for longer, and keeps what this test sees as docs/tensorboard-*.png.
"""

import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e '.[test]'")

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="needs a Chromium on the path: apt-get install chromium"),
    pytest.mark.skipif("STN_OFFLINE" in os.environ, reason="`make offline` counts what Chromium asks of its makers"),
]

KEPT = os.environ.get("STN_SCREENSHOTS")  # the folder of screenshots that are kept
QUICKSTART = Path(__file__).parents[1] / "configs" / "quickstart.yaml"
PATIENCE = 100_000  # milliseconds that a page has on a busy machine
LOADED = "async image => { await image.decode(); return image.naturalWidth * image.naturalHeight; }"
OUTLINE = (255, 80, 40)


@pytest.fixture(scope="module")
def logs(tmp_path_factory, stn_in):
    folder = tmp_path_factory.mktemp("browser")
    length = ["--trainer.max_epochs=8"] if KEPT else ["--trainer.max_epochs=2", "--trainer.limit_train_batches=4"]
    options = ["--trainer.check_val_every_n_epoch=1", "--trainer.default_root_dir=runs", "--trainer.enable_progress_bar=false"]
    done = stn_in(folder, "fit", "-c", QUICKSTART, *options, *length)
    assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="module")
def address(logs):
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", "runs", "--port", "0"]
    with subprocess.Popen(command, cwd=logs, stderr=subprocess.PIPE, text=True) as server:
        said = []
        for line in server.stderr:
            said.append(line)
            if found := re.search(r"at (http://\S+)", line):
                break
        else:
            pytest.fail("".join(said))
        yield found[1]
        server.terminate()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, timeout=PATIENCE)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, address):
    """A function that opens a tab of TensorBoard."""

    def opened(tab):
        page.goto(f"{address}#{tab}")
        return page

    page = browser.new_page(viewport={"width": 1300, "height": 900})
    page.set_default_timeout(PATIENCE)
    yield opened
    page.close()


@pytest.fixture
def screenshots(tmp_path):
    return Path(KEPT) if KEPT else tmp_path


def colours(picture):
    seen = Image.open(io.BytesIO(picture.screenshot())).convert("RGB")
    return {colour for _, colour in seen.getcolors(seen.width * seen.height)}


def test_pictures_of_the_transformer_are_seen(opened, screenshots):
    page = opened("images")
    page.get_by_text("Show actual image size").click()
    pictures = page.locator("img")
    playwright.expect(pictures).to_have_count(2, timeout=PATIENCE)  # TensorBoard opens the first two groups
    for tag, picture in zip(("hardest/input", "warp/input"), pictures.all(), strict=True):
        playwright.expect(page.get_by_text(f"tag: {tag}")).to_be_visible(timeout=PATIENCE)
        assert picture.evaluate(LOADED) > 0
        assert OUTLINE in colours(picture)
    page.screenshot(path=screenshots / "tensorboard-images.png")
    page.get_by_text("wrong", exact=True).click()
    playwright.expect(pictures).to_have_count(3, timeout=PATIENCE)
    assert pictures.last.evaluate(LOADED) > 0


def test_histograms_are_in_groups_of_a_transformer(opened, screenshots):
    page = opened("histograms")
    for tag in ("theta_input/00", "warp_input/angle_degrees"):
        playwright.expect(page.get_by_text(f"tag: {tag}")).to_be_visible(timeout=PATIENCE)
    drawn = page.locator("path.outline, .histogram path")
    playwright.expect(drawn.first).to_be_visible(timeout=PATIENCE)
    page.screenshot(path=screenshots / "tensorboard-histograms.png")
