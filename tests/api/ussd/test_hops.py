"""Which answers stand behind a hop's text, with and without the memory of the hops before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from api.ussd.hops import SESSION_SECONDS_MAX, Session, Sessions, answers_of

answers = st.lists(st.text(alphabet="0123456789A*- ", max_size=6), max_size=6)


def texts_of(given_answers: list[str]) -> list[str]:
    """The texts of a session's hops, as the telco joins them."""
    return ["*".join(given_answers[:count]) for count in range(len(given_answers) + 1)]


@given(answers)
def test_who_saw_every_hop_knows_every_answer_even_with_stars_in_it(given_answers: list[str]) -> None:
    session = Session()
    texts = texts_of(given_answers)
    unclear = given_answers[:1] == [""]  # an empty first answer leaves the text as it was: nobody can tell

    heard = [session.hear(text) for text in texts]

    assert unclear or heard == [tuple(given_answers[:count]) for count in range(len(texts))]


@given(answers, st.data())
def test_a_hop_that_comes_again_is_heard_as_it_was(given_answers: list[str], data: st.DataObject) -> None:
    session = Session()
    texts = texts_of(given_answers)
    first = [session.hear(text) for text in texts]

    again = data.draw(st.integers(min_value=0, max_value=len(texts) - 1))

    assert session.hear(texts[again]) == first[again] or texts.count(texts[again]) > 1


def test_without_memory_each_star_parts_two_answers() -> None:
    assert answers_of("1*K7QX-9F26*2", known={}) == ("1", "K7QX-9F26", "2")
    assert answers_of("55", known={}) == ("55",)
    assert answers_of("", known={}) == ()


def test_an_empty_answer_is_an_answer() -> None:
    session = Session()

    heard = [session.hear(text) for text in ("", "1", "1*", "1**2")]

    assert heard == [(), ("1",), ("1", ""), ("1", "", "2")]


def test_another_number_never_enters_a_session_by_its_id() -> None:
    sessions = Sessions(monotonic=lambda: 0.0)
    sessions.enter("s", "254700000001").hear("1")

    assert sessions.enter("s", "254700000002").answers == {}
    assert sessions.enter("s", "254700000001").answers == {"1": ("1",)}


def test_what_is_over_or_too_much_is_forgotten_oldest_first() -> None:
    now = [0.0]
    sessions = Sessions(monotonic=lambda: now[0], sessions_max=3)
    for number in range(4):
        sessions.enter(f"s{number}", "254700000001").hear("1")
    kept = len(sessions)
    now[0] = SESSION_SECONDS_MAX + 1

    sessions.enter("new", "254700000001")

    assert (kept, len(sessions)) == (3, 1)
