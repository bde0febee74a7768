"""The page in Chromium: what is drawn, dropped and shown."""

import base64
import os
import re
import shutil
import signal

import numpy as np
import pytest
from PIL import Image

from gen.build.builder import build
from gen.ir import shipped
from host.errors import HostError
from host.web import Server

from .serving import children, served

CHROMIUM = shutil.which("chromium")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is missing: apt install "
                                                         "chromium")

DIGIT = re.compile(r"^\d$")


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """Opens a page, of which every error and every request but those to its server fails the
    test."""
    contexts, wrong = [], []

    def opened(address, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: wrong.extend(
            [request.url] * (not request.url.startswith(address))))
        page.goto(address)
        page.locator("#pad canvas").first.wait_for()
        return page
    yield opened
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "digits"
    build(shipped.find("digits-mlp"), board="arty-a7", out=folder, synthesise=False,
          lanes={"fc1": 8, "readout": 10})  # few, so that the board is compiled soon
    with served(folder) as page:
        yield page


def draw(page, *points):
    """A stroke through points of the first plane, in 0..1."""
    box = page.locator("#pad canvas").first.bounding_box()
    (x, y), *others = ((box["x"] + x * box["width"], box["y"] + y * box["height"])
                       for x, y in points)
    page.mouse.move(x, y)
    page.mouse.down()
    for x, y in others:
        page.mouse.move(x, y, steps=5)
    page.mouse.up()


def answered(page, act):
    """Do something that asks for an answer; the pixels that were sent, and the answer."""
    with page.expect_response("**/infer") as response:
        act()
    said = response.value.json()
    return response.value.request.post_data_json["pixels"], said


def text(page, where):
    return page.locator(where).inner_text()


def test_a_digit_is_drawn_and_its_class_shown(digits, visit):
    network, page = shipped.find("digits-mlp"), visit(digits.address)
    assert page.title() == "digits-mlp on arty-a7"
    assert not DIGIT.search(text(page, "#class"))
    sent, said = answered(page, lambda: draw(page, (0.56, 0.1), (0.56, 0.9)))
    assert sent == page.evaluate("pixels")
    assert max(sent) == network.pixel_max
    image = np.array(sent).reshape(network.input_shape)
    assert image[0, :, 0].max() == image[0, :, 7].max() == 0
    logits = network.predict(image[None])[0]
    page.locator("#class").filter(has_text=DIGIT).wait_for()
    assert text(page, "#class") == str(logits.argmax())
    shown = page.locator("#scores").get_attribute("aria-label")
    assert shown == "logits: " + ", ".join(f"{k}: {value}" for k, value in enumerate(logits))
    assert text(page, "#equal") == "equal"
    assert text(page, "#clocks") == f"{said['clocks']:,}"
    assert "each of the" in text(page, "#source")
    assert "bit for bit" in text(page, "#source")
    (caption,) = page.locator("#layers figcaption").all_inner_texts()
    spikes = network.run(network.encode(image[None])).counts["fc1"]
    assert f"{spikes.sum()} spikes" in caption
    assert page.locator("#runs").is_hidden()
    assert page.locator("#error").is_hidden()


def test_samples_clear_and_invert(digits, visit):
    network, page = shipped.find("digits-mlp"), visit(digits.address)
    for number in range(2):
        sent, said = answered(page, lambda: page.click("#sample"))
        assert sent == network.samples[number].ravel().tolist()
        assert said["scores"] == network.predict(network.samples[number][None])[0].tolist()
    inverse, _ = answered(page, lambda: page.click("#invert"))
    assert [16 - value for value in inverse] == sent
    assert not any(answered(page, lambda: page.click("#clear"))[0])


def given(page, name, data, kind="text/csv"):
    page.set_input_files("#file", {"name": name, "mimeType": kind, "buffer": data})


def test_records_of_a_csv_file(digits, visit):
    page = visit(digits.address)
    rows = np.random.default_rng(0).integers(0, 17, (3, 64))
    lines = [",".join(map(str, [7, *rows[0]])), ";".join(map(str, rows[1])), "",
             " ".join(map(str, rows[2]))]
    data = ("label," + ",".join(f"pixel{k}" for k in range(64)) + "\r\n" + "\r\n".join(lines))
    sent, _ = answered(page, lambda: given(page, "digits.csv", data.encode()))
    assert sent == rows[0].tolist()
    assert text(page, "#record") == "record 1 of 3, label 7"
    assert page.locator("#previous").is_disabled()
    for number in (1, 2):
        assert answered(page, lambda: page.click("#next"))[0] == rows[number].tolist()
        assert text(page, "#record") == f"record {number + 1} of 3"
    assert page.locator("#next").is_disabled()


@pytest.mark.parametrize("data, message", [
    ("", "has no records"), ("a,b\n", "has no records"),
    ("1,2\n", "line 1 has 2 numbers instead of 64, or one more with a label"),
    ("\n" + ",".join(["17"] * 64), "line 2 has 17, which is no integer in 0..16"),
    (",".join(["1.5"] * 64), "line 1 has 1.5, which is no integer in 0..16"),
    (",".join(["-1"] * 65), "line 1 has -1, which is no integer in 0..16"),
    (",".join(["1-"] * 64), "line 1 has NaN, which is no integer in 0..16")],
    ids=["empty", "names", "few", "large", "fraction", "negative", "nonsense"])
def test_records_that_are_none(data, message, digits, visit):
    page = visit(digits.address)
    given(page, "x.csv", data.encode())
    page.locator("#error").filter(has_text=message).wait_for()
    assert text(page, "#error") == f"x.csv: {message}"
    assert not any(page.evaluate("pixels"))


def test_a_picture(digits, visit, tmp_path):
    """Grey, with its sides as they were, black beside it."""
    page = visit(digits.address)
    Image.new("RGB", (80, 160), (255, 255, 255)).save(tmp_path / "tall.png")
    sent, _ = answered(page, lambda: given(page, "tall.png", (tmp_path / "tall.png").read_bytes(),
                                           "image/png"))
    assert np.array(sent).reshape(8, 8).tolist() == [[0, 0, 16, 16, 16, 16, 0, 0]] * 8
    given(page, "no.png", b"nothing", "image/png")
    page.locator("#error").filter(has_text="no.png: is no picture").wait_for()
    assert page.evaluate("pixels") == sent


def test_a_file_is_dropped(digits, visit):
    page = visit(digits.address)
    line = ",".join(["3"] * 64)
    sent, _ = answered(page, lambda: page.evaluate("""line => {
        const data = new DataTransfer();
        data.items.add(new File([line], "one.csv", { type: "text/csv" }));
        document.dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true }));
    }""", line))
    assert sent == [3] * 64


def test_an_error_of_the_board_is_shown_until_it_is_over(digits, visit):
    page = visit(digits.address)
    answered(page, lambda: page.click("#sample"))
    (board,) = children(digits.process, "+beats=")
    os.kill(board, signal.SIGKILL)
    _, said = answered(page, lambda: page.click("#sample"))
    page.locator("#error").filter(has_text=said["error"]).wait_for()
    answered(page, lambda: page.click("#sample"))
    page.locator("#error").wait_for(state="hidden")


def packed(values):
    return base64.b64encode(np.array(values, "<i2").tobytes()).decode()


@pytest.fixture
def acted():
    """A server whose device is a function; three planes, three time-steps, signed spikes."""
    facts = {"network": "acted", "board": "arty-a7", "port": "/dev/ttyUSB0", "clock_hz": 10**8,
             "pixel_max": 255, "planes": 3, "height": 4, "width": 4, "timesteps": 3,
             "layers": [{"name": "<b>conv</b>", "shape": [2, 2, 2]}], "samples": []}
    answer = {"prediction": 1, "scores": [-5, 7], "clocks": 12345, "exact": False,
              "seconds": 0.01, "timesteps": 3, "equal": True,
              "spikes": {"beats": None, "difference": None, "layers": [{
                  "spikes": 4, "counts": packed([1, 0, 0, 0, 2, 0, 0, 1]),
                  "steps": packed([1, 0, 0, 0, 1, 0, 0, 0] + [0] * 8
                                  + [0, 0, 0, 0, -1, 0, 0, 1])}]}}

    def infer(request):
        if request["pixels"][0] == 255:
            raise HostError("<i>the board</i> has caught fire")
        return answer | {"timesteps": request["timesteps"]}
    with Server(0, infer, 10_000) as server:
        server.start(facts)
        yield server, answer


def test_time_steps_colours_and_a_real_board(acted, visit):
    server, _ = acted
    page = visit(server.address)
    assert page.locator("#pad canvas").count() == 1
    page.fill("#ink", "#ff8000")
    sent, _ = answered(page, lambda: draw(page, (0.625, 0.625)))
    planes = np.array(sent).reshape(3, 4, 4)
    assert (planes[0, 2, 2], planes[1, 2, 2], planes[2, 2, 2]) == (255, 128, 0)
    page.locator("#class").filter(has_text=DIGIT).wait_for()
    assert "whose logits for this image are the board's" in text(page, "#source")
    assert text(page, "#exact") == "no"
    assert text(page, "#layers h3") == "<b>conv</b>"
    assert "4 spikes, from 3 of 8; the most from one: 2" in text(page, "#layers p")
    assert page.locator("#signs").is_hidden()
    page.fill("#step", "3")
    assert "2 spikes in time-step 3, from 2 of 8" in text(page, "#layers p")
    assert page.locator("#signs").is_visible()
    page.fill("#step", "2")
    assert "0 spikes in time-step 2" in text(page, "#layers p")
    page.click("#play")
    page.locator("#shown").filter(has_text="3").wait_for()
    page.locator("#shown").filter(has_text="1").wait_for()
    page.click("#play")
    with page.expect_request("**/infer") as request:
        page.fill("#timesteps", "2")
        page.locator("#timesteps").dispatch_event("change")
    assert request.value.post_data_json["timesteps"] == 2


def test_what_is_wrong_is_said(acted, visit):
    server, answer = acted
    page = visit(server.address)
    for changed, where, said in (
            ({"equal": False}, "#source", "are NOT the board's"),
            ({"equal": False}, "#equal", "different"),
            ({"spikes": {"error": "amaranth is missing"}}, "#source", "amaranth is missing"),
            ({"spikes": answer["spikes"] | {"beats": 9, "difference": "conv, channel 1, y 0, x 0: "
                                            "1 instead of 2"}}, "#source", "1 instead of 2")):
        before = dict(answer)
        answer.update(changed)
        answered(page, lambda: page.click("#clear"))
        page.locator(where).filter(has_text=said).wait_for()
        assert "bad" in page.locator(where).get_attribute("class")
        answer.clear()
        answer.update(before)
    answered(page, lambda: page.click("#invert"))
    page.locator("#error").filter(has_text="<i>the board</i> has caught fire").wait_for()


def test_a_server_that_has_ended(acted, visit):
    server, _ = acted
    page = visit(server.address)
    server.server_close()
    page.click("#clear")
    page.locator("#error").filter(has_text="the server does not answer").wait_for()


@pytest.mark.parametrize("width", [320, 768, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window(width, scheme, acted, visit):
    server, answer = acted
    answer["scores"] = [-10**12, 10**12]
    page = visit(server.address, color_scheme=scheme,
                 viewport={"width": width, "height": 700})
    answered(page, lambda: page.click("#clear"))
    page.locator("#class").filter(has_text=DIGIT).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    colours = [re.findall(r"\d+", page.evaluate(f"getComputedStyle(document.body).{name}"))
               for name in ("color", "backgroundColor")]
    ink, paper = (sum(map(int, colour)) for colour in colours)
    assert (ink < paper) == (scheme == "light")
