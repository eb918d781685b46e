"""The studio page in real Chromium, used as a visitor and as a merchant use it."""

import json
import re
import uuid
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.web.complaints import Complaints

PASSWORD = "a long enough password"


def search(page: Page, words: str) -> Locator:
    """Searches for the words and returns the result cards."""
    page.get_by_label("What are you looking for?").fill(words)
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator("#summary")).to_contain_text(f"“{words}”")
    return page.locator("#results .card")


def sign_in(page: Page, email: str, password: str) -> None:
    page.get_by_role("button", name="Sign in").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("E-mail").fill(email)
    dialog.get_by_label("Password").fill(password)
    dialog.get_by_role("button", name="Sign in", exact=True).click()
    expect(dialog).to_be_hidden()


def wait_for_image(image: Locator) -> None:
    """Waits until the image is loaded."""
    image.scroll_into_view_if_needed()
    expect(image).to_have_js_property("complete", True)
    assert image.evaluate("image => image.naturalWidth") > 0


def test_starts_with_products_and_says_how_the_studio_is(page: Page) -> None:
    expect(page).to_have_title("AI Fashion Studio")
    expect(page.locator("#results .card:not(.waiting)")).to_have_count(12)
    expect(page.locator("#health-text")).to_have_text("All up")
    page.locator("#health-text").click()
    expect(page.locator("#health-parts")).to_contain_text("products, index")


def test_the_browser_is_told_to_allow_nothing_from_elsewhere(page: Page) -> None:
    policy = page.request.get("/").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


def test_works_under_the_other_name_of_loopback(browser: Browser, studio_url: str) -> None:
    """Signed URLs contain 127.0.0.1, which is another origin than localhost for a browser."""
    twin = studio_url.replace("127.0.0.1", "localhost")
    context = browser.new_context(base_url=twin)
    page = context.new_page()
    complaints = Complaints(page, twin)
    page.goto("/?q=red+dress")
    wait_for_image(page.locator("#results .card:not(.waiting) img").first)
    context.close()
    assert complaints.entries == []


def test_searches_by_words(page: Page) -> None:
    cards = search(page, "under 500 euro")  # all words are a filter, so everything answers
    expect(cards).to_have_count(24)
    wait_for_image(cards.first.locator("img"))
    expect(cards.first.locator(".title")).not_to_be_empty()
    expect(cards.first.locator(".price")).to_contain_text("€")
    expect(page.locator("#foot-version")).to_contain_text("Index 20")
    expect(page.locator("#foot-latency")).to_contain_text("Answered in")
    page.get_by_role("button", name="Show more").click()
    expect(cards).to_have_count(48)


def test_an_example_is_one_click_and_a_link(page: Page, studio_url: str) -> None:
    page.get_by_role("button", name="navy jacket").click()
    expect(page.locator("#summary")).to_contain_text("“navy jacket”")
    assert page.url == f"{studio_url}/?q=navy+jacket"
    page.reload()
    expect(page.locator("#summary")).to_contain_text("“navy jacket”")
    page.go_back()
    expect(page.locator("#summary")).to_have_text("From the catalogue")


def test_filters(page: Page) -> None:
    expect(page.locator("#filter-category option")).not_to_have_count(1)
    page.get_by_label("Category").first.select_option("bag")
    page.get_by_label("In stock only").check()
    page.get_by_label("Price from").fill("80")
    cards = search(page, "bag")
    expect(cards.first.locator(".title")).to_contain_text("bag")
    titles = cards.locator(".title").all_text_contents()
    assert titles and all("bag" in title for title in titles)
    prices = [float(text.strip("€")) for text in cards.locator(".price").all_text_contents()]
    assert min(prices) >= 80
    expect(page.locator(".flag:visible")).to_have_count(0)
    page.get_by_role("button", name="Clear filters").click()
    expect(cards).to_have_count(24)


def test_more_like_this_and_both(page: Page) -> None:
    cards = search(page, "white shoes")
    title = cards.first.locator(".title").text_content()
    identity = cards.first.get_attribute("data-id")
    cards.first.get_by_role("button", name="More like this").click()
    expect(page.locator("#summary")).to_contain_text(f"the picture “{title}”")
    expect(page.locator(f'[data-id="{identity}"]')).to_have_count(0)
    cards = search(page, "blue")
    expect(page.locator("#alpha-text")).to_have_text("50 % words, 50 % picture")
    with page.expect_request("**/api/search/hybrid") as search_request:
        page.get_by_label("Words or picture").fill("0.9")
    assert json.loads(search_request.value.post_data or "")["alpha"] == 0.9
    expect(cards).to_have_count(24)


def test_searches_by_photo_after_making_an_account(page: Page, photo: Path) -> None:
    page.locator("#photo").set_input_files(photo)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("searching by photo needs one")
    dialog.get_by_role("button", name="Create an account").click()
    dialog.get_by_label("E-mail").fill(f"{uuid.uuid4().hex}@example.com")
    dialog.get_by_label("Password").fill("short")
    dialog.get_by_role("button", name="Create an account").click()
    expect(dialog.get_by_role("alert")).to_contain_text("at least 12 bytes")
    dialog.get_by_label("Password").fill(PASSWORD)
    dialog.get_by_role("button", name="Create an account").click()
    expect(page.locator("#summary")).to_contain_text("the picture “dress.jpg”")
    cards = page.locator("#results .card")
    expect(cards).to_have_count(24)
    expect(cards.first.locator(".title")).to_have_text("Striped red dress")
    with page.expect_response("**/api/files/*") as deleted:
        page.get_by_role("button", name="Remove the picture").click()
    assert deleted.value.status == 204
    expect(page.locator("#summary")).to_have_text("From the catalogue")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.txt", b"no picture", "contentType for a garment must be one of"),
        ("fake.png", b"\x89PNG\r\n\x1a\n no picture", "image"),
    ],
)
def test_shows_what_is_wrong_with_a_photo(
    page: Page, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    sign_in(page, "shopper@demo.studio", "studio-demo")
    path = tmp_path / name
    path.write_bytes(content)
    page.locator("#photo").set_input_files(path)
    notice = page.locator("#notice")
    expect(notice).to_contain_text(message)
    expect(notice).to_contain_text("Request id")
    search(page, "red dress")
    expect(notice).to_be_hidden()


def test_shows_what_is_wrong_with_a_search(page: Page) -> None:
    page.get_by_label("Price from").fill("90")
    page.get_by_label("to", exact=True).fill("10")
    page.get_by_label("What are you looking for?").fill("dress")
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_contain_text("priceMin is above priceMax")
    expect(page.locator("#notice code")).to_have_text(re.compile("[0-9a-f]{32}"))
    expect(page.locator("#summary")).to_have_text("No results")


def test_a_wrong_password_is_told(page: Page) -> None:
    page.get_by_role("button", name="Sign in").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("E-mail").fill(f"{uuid.uuid4().hex}@example.com")
    dialog.get_by_label("Password").fill("not the password")
    dialog.get_by_role("button", name="Sign in", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("or the password is wrong")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_a_merchant_adds_imports_and_deletes(page: Page, photo: Path, tmp_path: Path) -> None:
    panel = page.get_by_role("region", name="Your catalogue")
    expect(panel).to_be_hidden()
    sign_in(page, "merchant@demo.studio", "studio-demo")
    expect(panel).to_be_visible()
    title = f"<b>Dress</b> & {uuid.uuid4().hex[:8]}"
    panel.get_by_label("Title").fill(title)
    panel.get_by_label("Category").fill("dress")
    panel.get_by_label("Price").fill("49.50")
    panel.get_by_label("Picture").set_input_files(photo)
    panel.get_by_role("button", name="Add product").click()
    added = panel.get_by_role("listitem").filter(has_text=title)
    wait_for_image(added.locator("img"))

    lines = tmp_path / "products.jsonl"
    lines.write_text(json.dumps({"title": "no picture", "category": "dress"}) + "\nnot JSON\n")
    panel.get_by_label("File").set_input_files(lines)
    panel.get_by_role("button", name="Import", exact=True).click()
    expect(panel).to_contain_text("No product was imported of 2")
    expect(panel).to_contain_text("Line 2: not JSON")

    page.once("dialog", lambda question: question.accept())
    added.get_by_role("button", name="Delete").click()
    expect(added).to_have_count(0)
    page.get_by_role("button", name="Sign out").click()
    expect(panel).to_be_hidden()


def test_a_session_survives_a_reload_and_an_expired_token(page: Page) -> None:
    sign_in(page, "shopper@demo.studio", "studio-demo")
    page.evaluate(
        """() => {
            const kept = JSON.parse(sessionStorage.getItem("studio.session"));
            sessionStorage.setItem("studio.session", JSON.stringify({...kept, accessToken: "old"}));
        }"""
    )
    page.reload()
    expect(page.locator("#who-name")).to_have_text("Demo shopper")
    with page.expect_response("**/api/auth/refresh") as refreshed:
        cards = search(page, "black bag")
    assert refreshed.value.status == 200
    expect(cards.first.locator(".title")).to_contain_text("bag")


def test_works_from_the_keyboard_alone(page: Page) -> None:
    expect(page.locator("#results .card:not(.waiting)")).to_have_count(12)
    page.keyboard.type("pink skirt")
    page.keyboard.press("Enter")
    expect(page.locator("#summary")).to_contain_text("“pink skirt”")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('more')"):
            break
    page.keyboard.press("Enter")
    expect(page.locator("#summary")).to_contain_text("the picture")


def test_fits_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    search(page, "a-very-long-word-" * 20)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 360
    page.get_by_role("button", name="Filters").click()
    expect(page.get_by_label("In stock only")).to_be_visible()
