"""Airflow's UI in Debian's Chromium, logged in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 120_000


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """Screenshots are kept here; the folder is not committed."""
    folder = Path(__file__).resolve().parents[2] / "test-artefacts"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A Chromium with a profile of its own; without a Chromium the tests are skipped."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("chromium"),
            executable_path=program,
            headless=True,
            args=FLAGS,
            viewport={"width": 1400, "height": 900},
            locale="en-US",
        )
        yield context
        context.close()


@pytest.fixture(scope="session")
def logged_in(browser, stack):
    """The browser after the admin has logged in through the form."""
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{stack.connection.url}/auth/login")
    page.locator("input[name=username]").fill(stack.connection.username)
    page.locator("input[name=password]").fill(stack.connection.password)
    page.locator("button[type=submit]").click()
    page.wait_for_url(lambda url: "login" not in url)
    page.close()
    return browser


@pytest.fixture
def page(logged_in, request, artefacts):
    """A new page; what it shows at the end of the test, good or bad, is kept as a screenshot."""
    opened = logged_in.new_page()
    opened.set_default_timeout(PATIENCE_MS)
    yield opened
    opened.screenshot(path=artefacts / f"{request.node.name}.png")
    opened.close()
