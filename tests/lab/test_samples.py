import pytest

from hadirector.lab.samples import Sample, held_against_somebody, summarise


def answered(sent_at: float, answered_at: float, server: str = "one") -> Sample:
    return Sample(target=0, sent_at=sent_at, answered_at=answered_at, server=server)


def lost(sent_at: float, failure: str = "timeout") -> Sample:
    return Sample(target=0, sent_at=sent_at, answered_at=None, failure=failure)


def test_the_longest_time_without_an_answer_is_the_outage() -> None:
    samples = [
        answered(1.0, 1.001),
        lost(1.01),
        lost(1.02, "refused"),
        answered(1.03, 1.331, "two"),
    ]
    summary = summarise(samples, since=1.0, until=1.35)
    assert summary.longest_gap_ms == pytest.approx(330)
    assert summary.gap_began_at == 1.001
    assert (summary.requests, summary.lost) == (4, 2)
    assert summary.answers == {"one": 1, "two": 1}
    assert summary.failures == {"timeout": 1, "refused": 1}
    assert summary.latency_ms_median == pytest.approx(301)


def test_an_outage_that_still_lasts_counts_until_the_end() -> None:
    summary = summarise([answered(1.0, 1.001), lost(1.01)], since=1.0, until=3.001)
    assert summary.longest_gap_ms == pytest.approx(2000)


def test_an_answer_within_the_span_counts_though_the_request_left_before() -> None:
    summary = summarise([answered(0.9, 1.5)], since=1.0, until=2.0)
    assert summary.longest_gap_ms == pytest.approx(500)
    assert summary.requests == 0
    assert summary.latency_ms_median is None


def test_silence_is_one_gap() -> None:
    summary = summarise([], since=1.0, until=2.0)
    assert summary.longest_gap_ms == pytest.approx(1000)
    assert summary.gap_began_at == 1.0


def test_a_span_cannot_end_before_it_begins() -> None:
    with pytest.raises(ValueError, match="cannot end"):
        summarise([], since=2.0, until=1.0)


def test_time_in_which_the_client_stood_still_is_no_outage() -> None:
    # A probe every 10 ms; then nothing is sent for 90 ms; the first one after that is answered.
    samples = [answered(1.00, 1.001), answered(1.01, 1.011), answered(1.10, 1.101)]
    summary = summarise(samples, since=1.0, until=1.102, tick_s=0.01)
    assert summary.longest_gap_ms == pytest.approx(10)
    assert summary.stalled_ms == pytest.approx(80)
    assert summarise(samples, since=1.0, until=1.102).longest_gap_ms == pytest.approx(90)


def test_a_client_that_asks_on_time_and_gets_no_answer_sees_the_whole_outage() -> None:
    samples = [answered(1.0, 1.001), *(lost(1.0 + n / 100) for n in range(1, 50))]
    summary = summarise([*samples, answered(1.5, 1.501)], since=1.0, until=1.6, tick_s=0.01)
    assert summary.longest_gap_ms == pytest.approx(500)
    assert summary.stalled_ms == 0


def test_a_client_that_never_asks_again_does_not_hide_an_outage() -> None:
    summary = summarise([answered(1.0, 1.001)], since=1.0, until=3.0, tick_s=0.01)
    assert summary.longest_gap_ms == pytest.approx(1999)


def test_while_a_server_beside_the_client_is_silent_too_the_machine_stands_still() -> None:
    samples = [answered(1.0, 1.001), *(lost(1.0 + n / 100) for n in range(1, 20))]
    samples.append(answered(1.2, 1.201))
    beside = [answered(1.0 + n / 100, 1.0 + n / 100) for n in (0, 1, 2, 3, 18, 19, 20)]
    summary = summarise(samples, since=1.0, until=1.21, tick_s=0.01, reference=beside)
    assert summary.longest_gap_ms == pytest.approx(200 - 140)
    assert summary.stalled_ms == pytest.approx(140)


def test_no_moment_of_standing_still_is_taken_out_twice() -> None:
    # Both the client and the server beside it were late, at overlapping times.
    samples = [answered(1.0, 1.001), lost(1.01), answered(1.1, 1.201)]
    beside = [answered(1.01, 1.015), answered(1.05, 1.15)]
    summary = summarise(samples, since=1.0, until=1.21, tick_s=0.01, reference=beside)
    assert summary.longest_gap_ms == pytest.approx(200 - (150 - 20))


def test_a_server_beside_that_answers_all_along_takes_nothing_out() -> None:
    samples = [answered(1.0, 1.001), *(lost(1.0 + n / 100) for n in range(1, 50))]
    beside = [answered(1.0 + n / 100, 1.0 + n / 100 + 0.001) for n in range(60)]
    spans = summarise(
        [*samples, answered(1.5, 1.501)], since=1.0, until=1.6, tick_s=0.01, reference=beside
    )
    assert spans.longest_gap_ms == pytest.approx(500)


def test_what_was_lost_while_the_machine_stood_still_is_held_against_nobody() -> None:
    samples = [answered(1.0, 1.001), lost(1.01), lost(1.02), lost(1.5), lost(1.51, "refused")]
    beside = [answered(1.0, 1.001), lost(1.013), answered(1.02, 1.03), answered(1.5, 1.501)]
    left = held_against_somebody(samples, beside, tick_s=0.01)
    assert [sample.sent_at for sample in left] == [1.0, 1.5, 1.51]
