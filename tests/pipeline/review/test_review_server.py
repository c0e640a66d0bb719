"""The review page: which requests are served, and the effect of keys in a real browser."""

import csv
import http.client
import json
import shutil
import signal
import subprocess
import sys
import time
from importlib import resources
from urllib.parse import urlsplit

import psutil
import pytest

import chromium
from review_runs import write_reviewable
from synaug.pipeline.review.review_server import MAX_BODY, ReviewServer
from synaug.pipeline.review.review_session import ReviewSession
from synaug.run_directory import Run


@pytest.fixture(scope="module")
def made(photos, tmp_path_factory):
    return write_reviewable(tmp_path_factory.mktemp("served") / "run", photos, target=60)


@pytest.fixture
def run(made, tmp_path):
    return shutil.copytree(made, tmp_path / "run")


@pytest.fixture
def server(run):
    with ReviewServer(ReviewSession(Run.open(run))) as server:
        yield server


def decided(run):
    with open(run / "review" / "decisions.csv", newline="") as file:
        return {row["id"]: row["decision"] for row in csv.DictReader(file) if row["decision"]}


# ---------------------------------------------------------------- who gets an answer


def asked(server, path="catalog.json", *, method="GET", token=None, body=None, **headers):
    """Return the status, the headers and the content of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    names = {"origin": "Origin", "host": "Host", "kind": "Content-Type", "site": "Sec-Fetch-Site",
             "length": "Content-Length"}  # fmt: skip
    sent = {names[name]: value for name, value in headers.items() if value is not None}
    connection.request(method, f"/{server.token if token is None else token}/{path}", body=body, headers=sent)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), data


def posted(server, actions, **changes):
    own = {"origin": f"http://127.0.0.1:{server.port}", "kind": "application/json"}
    body = changes.pop("body", json.dumps(actions).encode())
    return asked(server, "actions", method="POST", body=body, **(own | changes))


def test_the_page_loads_nothing_from_elsewhere(server):
    status, headers, page = asked(server, "")
    assert status == 200
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    scripts = [path.name for path in (resources.files("synaug") / "assets" / "review").iterdir() if ".js" in path.name]
    for asset in ("", "review.css", *scripts):
        status, _, content = asked(server, asset)
        assert status == 200
        assert b"//" not in content.replace(b"// ", b"")
    assert b"<script>" not in page


@pytest.mark.parametrize("token", ["", "x", "../", "%2e%2e"])
def test_without_the_token_every_request_is_refused(server, token):
    assert asked(server, token=token)[0] == 403
    assert asked(server, "thumbnail/real/0", token=token)[0] == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}"]
)
def test_another_host_name_is_refused_so_that_no_domain_can_be_pointed_here(server, host):
    assert asked(server, host=host.format(port=server.port))[0] == 421


def test_localhost_is_this_host_too(server):
    assert asked(server, host=f"localhost:{server.port}")[0] == 200


@pytest.mark.parametrize(
    "changes",
    [{"origin": "http://evil.example"}, {"origin": "null"}, {"origin": None}, {"site": "cross-site"},
     {"site": "same-site"}, {"kind": "text/plain"}, {"token": "x"}, {"host": "evil.example"}],
)  # fmt: skip
def test_only_the_page_itself_can_decide(server, run, changes):
    name = json.loads(asked(server)[2])["items"][0][0]
    assert posted(server, [{"do": "reject", "ids": [name]}], **changes)[0] in (403, 415, 421)
    assert decided(run) == {}
    assert posted(server, [{"do": "reject", "ids": [name]}])[0] == 200
    assert decided(run) == {name: "reject"}


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b"[1]", b'"undo"', b"[" * 10_000, b"\xff"])
def test_a_body_that_is_not_a_list_of_actions_is_a_bad_request(server, run, body):
    status, _, content = posted(server, None, body=body)
    assert (status, decided(run)) == (400, {})
    assert json.loads(content)["error"]


def test_a_body_that_is_too_large_is_not_read(server):
    for length in (str(MAX_BODY + 1), "-1", "ten", ""):
        assert posted(server, None, body=b"[]", length=length)[0] == 413


@pytest.mark.parametrize("path", ["../plan.json", "thumbnail/image/..%2f..%2fplan.json", "thumbnail/image/x",
                                  "whole/real/-1", "whole/real/99999999", "thumbnail/real/%D9%A3",
                                  "plan.json", "review.js/"])  # fmt: skip
def test_only_images_of_the_run_are_served(server, path):
    assert asked(server, path)[0] == 404


def test_no_other_http_method_is_served(server):
    assert asked(server, method="PUT", body=b"")[0] == 501


def test_the_server_listens_on_loopback_only(server):
    listening = [each.laddr for each in psutil.Process().net_connections("inet") if each.status == psutil.CONN_LISTEN]
    assert [place.ip for place in listening if place.port == server.port] == ["127.0.0.1"]


def test_a_port_in_use_names_the_option(synaug, server, run):
    done = synaug("review", run, "--serve", "--port", server.port)
    assert (done.code, "--port" in done.err) == (5, True)


def test_serve_and_apply_exclude_each_other(synaug, run):
    assert synaug("review", run, "--serve", "--apply").code == 2


def test_the_command_prints_the_address_and_ends_with_ctrl_c(run):
    command = [sys.executable, "-m", "synaug", "review", str(run), "--serve"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    url = next(line.strip() for line in process.stdout if line.strip().startswith("http://127.0.0.1:"))
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=20)
    connection.request("GET", address.path)
    assert connection.getresponse().status == 200
    connection.close()
    second = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert second.returncode == 2  # one session at a time
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert f"synaug review {run} --apply" in rest


# ---------------------------------------------------------------- in a browser

with_chromium = pytest.mark.skipif(not chromium.is_installed(), reason="needs the chromium browser")
READY = "document.querySelectorAll('.tile img').length > 0 && [...document.images].every((image) => image.complete)"
SAVED = "document.getElementById('saved').textContent === 'Saved'"


@pytest.fixture(scope="module")
def browser():
    with chromium.opened() as page:
        yield page


@pytest.fixture
def page(browser, server):
    browser.console.clear()
    browser.size(1200, 800)
    browser.open("about:blank")
    browser.open(server.url)
    browser.wait(READY)
    yield browser
    assert browser.console == []


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "the table never changed"
        time.sleep(0.02)


def shown(page):
    """Return the names of the tiles in the page, in order."""
    page.press("?")
    page.press("Escape")
    return [
        name.split(":")[0] for name in page.value("[...document.querySelectorAll('.tile')].map((t) => t.ariaLabel)")
    ]


@with_chromium
def test_keys_accept_reject_undo_and_clear(page, run):
    first, second, third, *_ = shown(page)
    page.press("r", "a")
    wait_for(lambda: decided(run) == {first: "reject", second: "accept"})
    page.press("u")
    wait_for(lambda: decided(run) == {first: "reject"})
    page.press("Home", "c", "ArrowRight", "ArrowRight", "r")
    wait_for(lambda: decided(run) == {third: "reject"})
    page.wait(SAVED)
    page.press("Home", "z")
    page.press("z", modifiers=chromium.CONTROL)
    page.press("z", modifiers=chromium.CONTROL)
    wait_for(lambda: decided(run) == {first: "reject"})


@with_chromium
def test_a_range_is_decided_at_once_and_undone_at_once(page, run):
    names = shown(page)
    page.press("ArrowRight")
    page.press("ArrowRight", "ArrowRight", modifiers=chromium.SHIFT)
    page.press("r")
    wait_for(lambda: decided(run) == dict.fromkeys(names[1:4], "reject"))
    page.press("u")
    wait_for(lambda: decided(run) == {})
    page.press("a", modifiers=chromium.CONTROL)
    page.press("r")
    wait_for(lambda: len(decided(run)) > 80)


@with_chromium
def test_decisions_survive_a_reload_and_apply_follows_them(page, run, server, synaug):
    page.press("r", "r")
    wait_for(lambda: len(decided(run)) == 2)
    page.wait(SAVED)
    page.open("about:blank")
    page.open(server.url)
    page.wait(READY)
    assert page.value("document.querySelectorAll('.tile.no').length") == 2
    done = synaug("review", run, "--apply", "--json")
    assert json.loads(done.out)["rejected"] == 2


@with_chromium
def test_images_are_sorted_by_a_score_and_filtered(page):
    def choose(name, value):
        page.value(
            f"(() => {{ const s = document.getElementById('{name}'); s.value = '{value}';"
            " s.dispatchEvent(new Event('change')); })()"
        )

    choose("sort", "0:-1")
    captions = "[...document.querySelectorAll('.tile .caption')].map((caption) => parseFloat(caption.textContent))"
    first_class = page.value(captions)[:12]
    assert first_class == sorted(first_class, reverse=True)
    assert first_class[0] > first_class[-1]
    choose("show", "reason:off_class")
    assert page.value("[...document.querySelectorAll('.tile')].every((t) => t.classList.contains('out'))")
    choose("show", "decided")
    assert page.value("document.querySelectorAll('.tile').length") == 0
    assert page.value("!document.getElementById('empty').hidden")
    choose("show", "")
    page.press("/", *"boot")
    page.wait("[...document.querySelectorAll('.row.head h2')].map((h) => h.textContent).join() === 'ankle boot'")
    page.press("Escape", "r")
    page.wait(SAVED)


@with_chromium
def test_the_enlarged_view_is_beside_real_images_and_accepts_decisions_and_notes(page, run):
    first, second, *_ = shown(page)
    page.press("n", *"red", "Enter")
    page.press("r")
    wait_for(lambda: decided(run) == {first: "reject"})
    assert "red" in (run / "review" / "decisions.csv").read_text()
    assert page.value("document.querySelectorAll('#zoom-real img').length") > 3
    page.press("r")
    wait_for(lambda: decided(run) == {first: "reject", second: "reject"})


@with_chromium
def test_unsaved_decisions_are_shown_and_sent_again(page, run):
    table = run / "review" / "decisions.csv"
    good = table.read_text()
    table.write_text("nonsense\n")
    page.press("r")
    page.wait("document.getElementById('saved').textContent.startsWith('Not saved')")
    table.write_text(good)
    page.wait(SAVED)
    assert len(decided(run)) == 1
    page.console.clear()  # the browser logs the refused request


@with_chromium
@pytest.mark.parametrize(("theme", "color"), [("light", "rgb(252, 251, 248)"), ("dark", "rgb(21, 24, 28)")])
def test_on_a_phone_nothing_runs_off_to_the_right_in_either_theme(page, run, theme, color):
    page.theme(theme)
    page.size(390, 844, mobile=True)
    page.wait("document.querySelector('.row:not(.head)').children.length === 3")
    assert page.value("document.documentElement.scrollWidth") == 390
    assert page.value("getComputedStyle(document.body).backgroundColor") == color
    for name in ("accept", "reject", "undo"):
        box = json.loads(page.value(f"JSON.stringify(document.getElementById('{name}').getBoundingClientRect())"))
        assert box["height"] >= 36
        assert box["bottom"] <= 844
    page.click("#reject")
    wait_for(lambda: len(decided(run)) == 1)


@with_chromium
def test_of_ten_thousand_images_only_those_in_view_are_in_the_page(browser, photos, tmp_path):
    run = write_reviewable(tmp_path / "run", photos, target=3350)
    with ReviewServer(ReviewSession(Run.open(run))) as server:
        browser.size(1200, 800)
        browser.open(server.url)
        browser.wait(READY)
        number = int(browser.value("document.getElementById('counts').textContent").split(" ")[0].replace(",", ""))
        assert number > 10_000
        browser.press("End")
        browser.wait(f"document.querySelector('.cursor')?.id === 'tile-{number - 1}'")
        assert browser.value("document.querySelectorAll('.tile').length") < 100
        browser.press("r")
        wait_for(lambda: list(decided(run).values()) == ["reject"])
        browser.press("Home", "PageDown", "PageDown", "PageDown", "r")
        wait_for(lambda: len(decided(run)) == 2)
        assert browser.value("document.querySelectorAll('.tile').length") < 100
