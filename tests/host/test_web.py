"""The server of the page: what it answers, and whom."""

import base64
import hashlib
import json
import re
import socket
from http.client import HTTPConnection

import pytest

from host.errors import Busy, HostError, LinkError, Rejected
from host.web import PAGE, Server, policy

JSON = {"Content-Type": "application/json"}


def infer(request):
    """Stands for a device."""
    errors = {"rejected": Rejected, "busy": Busy, "dead": LinkError, "other": HostError}
    for word, error in errors.items():
        if word in request:
            raise error(f"{word}\nit is")
    return {"got": request}


@pytest.fixture(scope="module")
def server():
    with Server(0, infer, 200) as server:
        server.start({"network": "net"})
        yield server


@pytest.fixture
def ask(server):
    """Sends a request, of which everything can be wrong; gives status, headers and body."""
    def request(method, path, body=None, headers=None, host=None):
        connection = HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        connection.putrequest(method, path, skip_host=True)
        for name in [f"127.0.0.1:{server.server_port}"] if host is None else host:
            connection.putheader("Host", name)
        given = {"Content-Length": len(body or b""), **(headers or {})}
        for name, value in given.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders()
        connection.send(body or b"")
        with connection.getresponse() as response:
            answer = response.status, response.headers, response.read()
        connection.close()
        return answer
    return request


def post(ask, body, headers=None, **options):
    return ask("POST", "/infer", body, JSON | (headers or {}), **options)


def said(answer):
    """The one line of an error, in JSON, and its status."""
    status, headers, body = answer
    assert headers["Content-Type"] == "application/json"
    assert body.endswith(b"\n")
    assert body.count(b"\n") == 1
    error = json.loads(body)
    assert error.keys() == {"error"}
    assert "\n" not in error["error"]
    return status, error["error"]


def test_the_page(ask):
    status, headers, body = ask("GET", "/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert body == PAGE.read_bytes()
    assert headers["Content-Security-Policy"] == policy(body.decode())
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Server"] == "spikeloom"


def test_the_page_may_only_do_what_it_does():
    """Digests of the one script and the one style; nothing from anywhere else."""
    page = PAGE.read_text()
    rules = dict(rule.split(" ", 1) for rule in policy(page).split("; "))
    assert rules.pop("default-src") == "'none'"
    assert rules.pop("connect-src") == "'self'"
    for tag in ("script", "style"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules.pop(f"{tag}-src") == f"'sha256-{digest}'"
    assert set(rules.values()) == {"'none'"}
    assert not re.search(r"https?:|//\w+\.|src=|@import|url\(| style=| on\w+=\"", page)


def test_facts_and_an_answer(ask):
    assert json.loads(ask("GET", "/facts")[2]) == {"network": "net"}
    assert json.loads(post(ask, b'{"pixels": [1]}')[2]) == {"got": {"pixels": [1]}}


def test_it_listens_on_the_loopback_alone(server):
    assert server.socket.getsockname()[0] == "127.0.0.1"
    assert server.address == f"http://127.0.0.1:{server.server_port}/"


@pytest.mark.parametrize("method, path", [
    ("GET", "/"), ("GET", "/facts"), ("POST", "/infer"), ("GET", "/nothing")])
@pytest.mark.parametrize("host", [
    [], ["evil.example"], ["evil.example:{port}"], ["127.0.0.1"], ["127.0.0.1:1"],
    ["localhost:{port}", "evil.example"], ["127.0.0.1:{port}.evil.example"], ["[::1]:{port}"]],
    ids=" ".join)
def test_another_host(method, path, host, ask, server):
    host = [name.format(port=server.server_port) for name in host]
    status, error = said(ask(method, path, b"{}", JSON, host=host))
    assert (status, error) == (403, f"this page is at {server.address} and answers no other site")


def test_localhost_is_a_name_of_it(ask, server):
    assert ask("GET", "/", host=[f"localhost:{server.server_port}"])[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1",
                                    "https://127.0.0.1:{port}", "http://localhost:{port}"])
def test_another_origin(origin, ask, server):
    headers = {"Origin": origin.format(port=server.server_port)}
    assert said(post(ask, b"{}", headers))[0] == 403


def test_its_own_origin(ask, server):
    assert post(ask, b"{}", {"Origin": server.address.rstrip("/")})[0] == 200


@pytest.mark.parametrize("method, path, body, status, message", [
    ("GET", "/nothing", None, 404, "there is no such page"),
    ("GET", "/infer", None, 404, "there is no such page"),
    ("GET", "/../errors.py", None, 404, "there is no such page"),
    ("POST", "/facts", b"{}", 404, "there is no such page"),
    ("PUT", "/infer", b"{}", 501, "Unsupported method ('PUT')")])
def test_what_is_not_there(method, path, body, status, message, ask):
    assert said(ask(method, path, body, JSON)) == (status, message)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", None])
def test_a_form_of_another_page_is_refused(kind, ask):
    assert said(post(ask, b"{}", {"Content-Type": kind}))[:2] == (
        415, "the request must be application/json")


@pytest.mark.parametrize("headers", [
    {"Content-Length": None}, {"Content-Length": "-1"}, {"Content-Length": "1e3"},
    {"Content-Length": "+2"}, {"Content-Length": "9" * 30}, {"Transfer-Encoding": "chunked"}])
def test_a_length_that_is_none(headers, ask):
    message = "the request must have a Content-Length, and no Transfer-Encoding"
    assert said(post(ask, b"", headers)) == (411, message)


def test_a_request_that_is_too_large(ask):
    assert post(ask, b'{"a": "' + b"a" * 191 + b'"}')[0] == 200
    assert said(post(ask, b"", {"Content-Length": "201"})) == (
        413, "the request must have at most 200 bytes, not 201")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe\x00", b"[" * 190, b"{'a': 1}", b"9" * 199,
                                  b'{"a": 1}{}', b'{"a": ' + b"[" * 180 + b"}"])
def test_what_is_no_json(body, ask):
    status, error = said(post(ask, body))
    assert status == 400
    assert error.startswith(("the request is not JSON: ", "the request must be a JSON object"))


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"pixels"', b"NaN"])
def test_what_is_no_object(body, ask):
    assert said(post(ask, body)) == (400, "the request must be a JSON object")


@pytest.mark.parametrize("word, status", [("rejected", 400), ("busy", 503), ("dead", 502),
                                          ("other", 502)])
def test_errors_have_a_status_and_one_line(word, status, ask):
    assert said(post(ask, json.dumps({word: 1}).encode())) == (status, f"{word} it is")


def test_what_is_no_request(server):
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as line:
        line.sendall(b"\x16\x03\x01 what is this\r\n\r\n")
        answer = line.makefile("rb").read()
    assert json.loads(answer.splitlines()[-1])["error"].startswith("Bad request")
    assert b"Traceback" not in answer


def test_somebody_who_goes_before_the_answer(server, ask, capfd):
    for text in (b"POST /infer HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: 127.0.0.1"):
        with socket.create_connection(("127.0.0.1", server.server_port)) as line:
            line.sendall(text)
    assert ask("GET", "/")[0] == 200
    assert capfd.readouterr().err == ""


def test_a_port_that_is_taken(server):
    with pytest.raises(HostError, match=rf"^127\.0\.0\.1:{server.server_port}: Address already in "
                                        "use; give another port with --listen$"):
        Server(server.server_port, infer, 200)
