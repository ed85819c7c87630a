from __future__ import annotations

from node.settings import Web, WebToken
from node.web.access.throttle import LoginThrottle
from node.web.access.tokens import EVERYBODY, Attempt, TokenCheck, Tokens

NOW = 1000.0
SCRAPER = "a token for Prometheus"


def tokens(token: str = "secret") -> Tokens:
    return Tokens(Web(token=token, tokens={"prometheus": WebToken(token=SCRAPER, rights=("metrics",))}))


def test_a_token_is_right_or_wrong() -> None:
    assert tokens().find("secret") is EVERYBODY
    assert not any(map(tokens().find, ("", "secre", "secret ", "SECRET", "\udce4")))
    found = tokens("").find(SCRAPER)
    assert found is not None
    assert (found.name, found.rights, tokens("").required) == ("prometheus", {"metrics"}, True)
    assert not Tokens(Web()).required
    assert Tokens(Web()).find("") is None  # none is required, none is right


def test_who_guesses_is_not_told_when_one_is_right() -> None:
    check = TokenCheck(tokens(), LoginThrottle(each=3, together=100))
    assert check.check("program", "secret", NOW).grant is EVERYBODY
    for _ in range(3):
        assert check.check("guesser", "wrong", NOW) == Attempt()
    assert check.check("guesser", "secret", NOW).wait == 60.0
    assert check.check("guesser", "secret", NOW + 61).grant is EVERYBODY
    assert check.check("program", "secret", NOW).grant is EVERYBODY


def test_who_guesses_from_many_addresses_slows_new_ones_but_none_that_was_right_before() -> None:
    check = TokenCheck(tokens(), LoginThrottle(each=3, together=5))
    check.check("program", "secret", NOW)
    for number in range(5):
        check.check(f"guesser {number}", "wrong", NOW)
    assert check.check("another", "secret", NOW).wait == 60.0
    assert check.check("program", "secret", NOW).grant is EVERYBODY


def test_a_token_that_the_settings_have_no_more_permits_nothing() -> None:
    assert Tokens(Web()).named("prometheus") is None
