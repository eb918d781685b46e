"""The sales score in real Chromium: of a photograph, and of a product on the shelf."""

import json
import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.web.test_page import search, sign_in, wait_for_image

SCORED_MS = 60_000


def test_a_merchant_scores_a_photograph_and_a_product(page: Page, photo: Path) -> None:
    panel = page.get_by_role("region", name="Sales score")
    expect(panel).to_be_hidden()
    sign_in(page, "merchant@demo.studio", "studio-demo")
    panel.get_by_label("Photograph").set_input_files(photo)
    panel.get_by_label("Category").fill("dress")
    panel.get_by_label("Price").fill("49.50")
    with page.expect_response("**/api/analytics/predict", timeout=SCORED_MS) as answered:
        panel.get_by_role("button", name="Score", exact=True).click()
    assert answered.value.status == 200, answered.value.text()
    body = answered.value.json()
    score, low, high = (body[name] for name in ("score", "errLow", "errHigh"))
    number = int(panel.locator("#score-value").text_content() or "")
    assert abs(number - score) <= 0.5
    sentence = panel.locator("#score-coverage").text_content() or ""
    match = re.fullmatch(r"In (\d+) of 100 cases between (\d+) and (\d+)\.", sentence)
    assert match, sentence
    cases, below, above = map(int, match.groups())
    assert abs(cases - 100 * body["coverage"]) <= 0.5
    assert abs(below - low) <= 0.5 and abs(above - high) <= 0.5
    bar = panel.get_by_role("img", name=f"between {below} and {above}")
    width = bar.evaluate("bar => bar.firstElementChild.offsetWidth / bar.clientWidth")
    assert abs(width - (high - low) / 100) < 0.02
    expect(panel.get_by_role("listitem")).to_have_count(len(body["comparables"]))
    wait_for_image(panel.get_by_alt_text("parts that raise the score"))
    expect(panel.locator("#score-doubt")).to_be_visible(visible=body["outOfDistribution"])

    card = search(page, "white shoes").first
    identity = card.get_attribute("data-id")
    with page.expect_response("**/api/analytics/predict", timeout=SCORED_MS) as answered:
        card.get_by_role("button", name="Score").click()
    assert json.loads(answered.value.request.post_data or "")["productId"] == identity
    expect(panel).to_contain_text("“shoes”")

    panel.get_by_label("Category").fill("x" * 200)
    page.route("**/api/analytics/predict", lambda route: route.continue_(post_data="{}"))
    panel.get_by_role("button", name="Score", exact=True).click()
    expect(panel.get_by_role("alert")).to_contain_text("exactly one of")
    page.get_by_role("button", name="Sign out").click()
    expect(panel).to_be_hidden()
