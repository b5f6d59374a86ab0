"""What the body of a reply must hold: text, pattern, JSON value."""

import json

import pytest

from checkers.http import HttpOptions
from checkers.recording import Failure
from checkers.replies import Scalar, judge
from checkers.response import Reply

HEALTH = b'{"status": "up", "load": 0.5, "ready": true, "db": [{"lag": 1}], "none": null}'


def reply(body: bytes, *, whole: bool = True) -> Reply:
    return Reply(200, b"OK", b"", body, whole)


def verdict(options: HttpOptions, body: bytes, *, whole: bool = True) -> str:
    try:
        return judge(options.expected, reply(body, whole=whole))
    except Failure as failure:
        return f"{failure.reason}: {failure.what}"


@pytest.mark.parametrize(
    ("key", "value"),
    [("status", "up"), ("load", 0.5), ("ready", True), ("db.0.lag", 1), ("db.0.lag", 1.0)],
)
def test_the_value_expected_passes(key: str, value: Scalar) -> None:
    assert verdict(HttpOptions(json_key=key, json_value=value), HEALTH) == "status 200"


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("status", "down", 'has status = "up", expected "down"'),
        ("ready", 1, "has ready = true, expected 1"),
        ("db.0.lag", True, "has db.0.lag = 1, expected true"),
        ("load", "0.5", 'has load = 0.5, expected "0.5"'),
        ("none", False, "has none = null, expected false"),
        ("db.1.lag", 1, "has no db.1"),
        ("status.x", 1, "has no status.x"),
        ("missing", 1, "has no missing"),
    ],
)
def test_another_value_fails_and_is_shown(key: str, value: Scalar, what: str) -> None:
    said = verdict(HttpOptions(json_key=key, json_value=value), HEALTH)
    assert said.startswith("l7-content: status 200, but the body (")
    assert said.endswith(f") {what}")


@pytest.mark.parametrize("body", [b"", b"up", b"\xff", b"[" * 60_000, HEALTH[:20]])
def test_what_is_not_json_says_so(body: bytes) -> None:
    options = HttpOptions(json_key="status", json_value="up")
    assert verdict(options, body).endswith("is not JSON")
    assert "but the first " in verdict(options, body, whole=False)


def test_a_pattern_is_found_anywhere_in_the_body() -> None:
    options = HttpOptions(matches=r'"load": 0\.\d')
    assert verdict(options, HEALTH) == "status 200"
    assert verdict(options, b'"load": 12').endswith(r'does not match ""load": 0\.\d"')


def test_a_huge_value_is_shown_in_part() -> None:
    body = json.dumps({"status": "x" * 50_000}).encode()
    assert len(verdict(HttpOptions(json_key="status", json_value="up"), body)) < 270
