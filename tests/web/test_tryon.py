"""Trying a garment on in real Chromium: a drawn shopper, a product found by search."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from drawing.draw import Garment, draw_garment
from drawing.people.people import draw_person
from tests.web.test_page import search, sign_in, wait_for_image

MADE_MS = 60_000
SIZE = (512, 384)


@pytest.fixture
def selfie(tmp_path: Path) -> Path:
    """A picture of a whole person from the front."""
    worn = [Garment("t-shirt", "red", "plain", 5), Garment("trousers", "navy", "plain", 2)]
    path = tmp_path / "me.png"
    draw_person(11, worn, SIZE, full_figure=True).image.save(path)
    return path


def open_panel(page: Page) -> Locator:
    """Signs in and opens the try-on panel of a green shirt."""
    sign_in(page, "shopper@demo.studio", "studio-demo")
    card = search(page, "green striped shirt").first
    title = card.locator(".title").text_content() or ""
    card.get_by_role("button", name="Try on").click()
    panel = page.get_by_role("dialog", name="Try it on")
    expect(panel).to_contain_text(title)
    return panel


def ask(panel: Locator) -> None:
    panel.get_by_role("button", name="Try it on", exact=True).click()


def ask_as_job(route: Route) -> None:
    """Changes the page's request to the mode that large pictures get."""
    body = json.loads(route.request.post_data or "") | {"mode": "queued"}
    route.continue_(post_data=json.dumps(body))


def test_a_shopper_tries_a_shirt_on_at_once_and_as_a_job(page: Page, selfie: Path) -> None:
    panel = open_panel(page)
    panel.get_by_label("Photograph of yourself").set_input_files(selfie)
    panel.get_by_label("Worn as").select_option("upper")
    with page.expect_response("**/api/cv/tryon", timeout=MADE_MS) as answered:
        ask(panel)
    assert answered.value.status == 200, answered.value.text()
    output = panel.get_by_role("img", name="You in")
    expect(output).to_be_visible()
    wait_for_image(output)
    assert output.evaluate("image => [image.naturalHeight, image.naturalWidth]") == list(SIZE)

    page.route("**/api/cv/tryon", ask_as_job)
    with page.expect_response("**/api/cv/tryon", timeout=MADE_MS) as accepted:
        ask(panel)
    assert accepted.value.status == 202, accepted.value.text()
    expect(panel.get_by_role("status")).to_be_visible()
    expect(output).to_be_visible(timeout=MADE_MS)
    wait_for_image(output)
    expect(panel.get_by_role("status")).to_be_hidden()

    with page.expect_response("**/api/files/*") as deleted:
        panel.get_by_role("button", name="Delete it").click()
    assert deleted.value.status == 204
    expect(output).to_be_hidden()


def test_a_photograph_of_nobody_is_told(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "shirt.png"
    draw_garment(Garment("shirt", "green", "striped", 4), 320).save(path)
    panel = open_panel(page)
    panel.get_by_label("Photograph of yourself").set_input_files(path)
    ask(panel)
    expect(panel.get_by_role("alert")).to_contain_text("Your photograph: ", timeout=MADE_MS)
    panel.get_by_role("button", name="Close").click()
    expect(panel).to_be_hidden()
