"""Buying on the studio page in real Chromium: approved at the simulator, back for the receipt."""

import re

from playwright.sync_api import Browser, expect

from tests.web.test_page import search, sign_in


def test_a_shopper_buys_and_gets_a_receipt(browser: Browser, studio_url: str) -> None:
    context = browser.new_context(base_url=studio_url, locale="en-GB")
    page = context.new_page()
    page.goto("/")
    sign_in(page, "shopper@demo.studio", "studio-demo")
    search(page, "red dress")
    page.get_by_label("In stock only").check()
    card = page.locator("#results .card:not(.waiting)").first
    price = (card.locator(".price").text_content() or "").strip()
    card.get_by_role("button", name="Buy").click()
    expect(page.get_by_role("heading", name=re.compile("^Pay "))).to_be_visible()
    page.get_by_role("link", name="Cancel").click()
    expect(page.locator("#receipt")).to_contain_text("Nothing was paid")
    expect(page).to_have_url(re.compile(r"\?(?!.*token)"))
    page.locator("#results .card:not(.waiting)").first.get_by_role("button", name="Buy").click()
    page.get_by_role("button", name="Pay now").click()
    expect(page.locator("#receipt")).to_contain_text(f"{price} paid")
    assert "PayerID" not in page.url
    context.close()
