"""The Prometheus endpoint, scraped."""

import socket

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.fakes.stories import LATER, NIGHT, told
from tuner.domain.errors import SurroundingsError
from tuner.telling.endpoint import endpoint
from tuner.telling.metrics import StandingCollector


def collector(count: int = len(NIGHT)) -> StandingCollector:
    return StandingCollector(lambda: told(NIGHT[:count]), clock=lambda: 200.0, now=lambda: LATER)


def test_a_scrape_brings_the_studys_metrics_and_nothing_of_this_process():
    with endpoint(collector(), host="127.0.0.1", port=0) as port:
        page = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False)
    names = {family.name for family in text_string_to_metric_families(page.text)}
    assert page.headers["content-type"].startswith("text/plain")
    assert "tuner_best_capacity_rps" in names
    assert all(name.startswith("tuner_") for name in names)


def test_two_studies_of_one_process_have_endpoints_of_their_own():
    with (
        endpoint(collector(), host="127.0.0.1", port=0) as first,
        endpoint(collector(0), host="127.0.0.1", port=0) as second,
    ):
        pages = [httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text for port in (first, second)]
    assert ["tuner_best_capacity_rps" in page for page in pages] == [True, False]


def test_after_it_the_port_is_free_again():
    with endpoint(collector(), host="127.0.0.1", port=0) as port:
        pass
    with endpoint(collector(), host="127.0.0.1", port=port) as again:
        assert again == port


def test_a_port_in_use_is_an_error_of_the_surroundings():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(SurroundingsError, match=f"127.0.0.1:{port}"),
            endpoint(collector(), host="127.0.0.1", port=port),
        ):
            pass


def test_a_host_that_is_not_ours_is_an_error_of_the_surroundings():
    with pytest.raises(SurroundingsError), endpoint(collector(), host="192.0.2.1", port=0):
        pass
