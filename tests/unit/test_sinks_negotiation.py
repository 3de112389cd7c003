"""What a scraper gets for its headers: format, encoding, only the headers."""

from __future__ import annotations

import gzip
import http.client
from collections.abc import Iterator

import pytest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from orchestrator.sinks.exposition import OPENMETRICS, TEXT, Family, Format, gauge, number, render
from orchestrator.sinks.metrics import Metrics
from orchestrator.sinks.metrics_server import metrics_server
from orchestrator.sinks.negotiation import chosen_format, metrics_response, takes_gzip

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (PROMETHEUS_2, OPENMETRICS),
        (PROMETHEUS_3, OPENMETRICS),
        ("application/openmetrics-text", OPENMETRICS),
        ('Application/OpenMetrics-Text; Version="1.0.0"', OPENMETRICS),
        ("", TEXT),
        ("*/*", TEXT),
        ("text/plain", TEXT),
        ("text/html,*/*;q=0.8", TEXT),
        ("application/openmetrics-text;q=0.2,text/plain;q=0.9", TEXT),
        ("application/openmetrics-text;version=0.0.1", TEXT),  # older than what we write
        ("application/openmetrics-text;q=0", TEXT),
        ("application/openmetrics-text;q=often", TEXT),
        (";;,,=;q", TEXT),
    ],
)
def test_the_format_is_what_the_scraper_likes_most(accept: str, form: Format) -> None:
    assert chosen_format(accept) is form


@pytest.mark.parametrize(
    ("accept_encoding", "taken"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("*", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0,*", False),
    ],
)
def test_gzip_is_sent_to_who_takes_it(accept_encoding: str, taken: bool) -> None:
    assert takes_gzip(accept_encoding) is taken


def test_a_response_says_what_it_is() -> None:
    metrics = Metrics(last_success={("shop", "prod"): 5.0})
    plain, headers = metrics_response(metrics.render, "", "")
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "Content-Encoding" not in headers
    packed, headers = metrics_response(metrics.render, PROMETHEUS_2, "gzip")
    assert headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed).endswith(b"# EOF\n")
    assert b"# EOF" not in plain


# --- over HTTP -------------------------------------------------------------------------------------------------------


@pytest.fixture
def connection() -> Iterator[http.client.HTTPConnection]:
    metrics = Metrics(last_success={("shop", "prod"): 5.0})
    with metrics_server(metrics.render, "127.0.0.1", 0) as url:
        found = http.client.HTTPConnection(url.removeprefix("http://").removesuffix("/metrics"), timeout=10)
        yield found
        found.close()


def test_head_has_the_headers_of_get_and_no_body(connection: http.client.HTTPConnection) -> None:
    answers = []
    for method in ("GET", "HEAD"):
        connection.request(method, "/metrics", headers={"Accept": PROMETHEUS_3, "Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        answers.append((answer.status, answer.getheader("Content-Type"), answer.getheader("Content-Length")))
        body = answer.read()
        assert bool(body) is (method == "GET")
    assert answers[0] == answers[1]
    assert answers[0][0] == 200


def test_nothing_but_get_and_head(connection: http.client.HTTPConnection) -> None:
    connection.request("POST", "/metrics", body=b"x")
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Allow")) == (405, "GET, HEAD")


# --- what is written -------------------------------------------------------------------------------------------------


def test_anything_may_stand_in_labels_and_help_and_is_read_back() -> None:
    value, text = 'a"\\\nü\ud800', 'says "it"\\\non two lines'
    family = gauge("x", text, [({"b": value, "a": ""}, 1.5), ({"b": "y", "a": "z"}, float("inf"))])
    for form, parse in ((TEXT, text_string_to_metric_families), (OPENMETRICS, parse_openmetrics)):
        (read,) = parse(render([family], form).decode())
        assert read.documentation == text
        assert [(sample.labels, sample.value) for sample in read.samples] == [
            ({"a": "", "b": 'a"\\\nü?'}, 1.5),
            ({"a": "z", "b": "y"}, float("inf")),
        ]


def test_ready_lines_stand_between_what_the_library_writes_and_the_end_comes_once() -> None:
    counter = Metric("x", "X.", "counter")
    counter.add_sample("x_total", {}, 1.0)
    ready = Family("y", "gauge", "Y.", b"y 2.0\n")
    y = b"# HELP y Y.\n# TYPE y gauge\ny 2.0\n"
    for form, name, end in ((TEXT, b"x_total", b""), (OPENMETRICS, b"x", b"# EOF\n")):
        x = b"# HELP %b X.\n# TYPE %b counter\nx_total 1.0\n" % (name, name)
        assert render([counter, ready, counter], form) == x + y + x + end
        assert render([], form) == end


def test_numbers() -> None:
    given = [1.0, 0.1, 1e300, float("inf"), float("-inf"), float("nan")]
    assert [number(value) for value in given] == ["1.0", "0.1", "1e+300", "+Inf", "-Inf", "NaN"]
