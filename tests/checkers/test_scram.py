"""SCRAM-SHA-256 against the example of RFC 7677, and against servers that cheat."""

import pytest

from checkers.scram import Scram, ScramError

NONCE = "rOprNGfwEbeRWgbNEkqO"
CHALLENGE = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"


def test_a_login_that_postgresql_would_take() -> None:
    scram = Scram("pencil", NONCE)
    assert scram.first == f"n,,n=,r={NONCE}"
    # As RFC 7677 3, but with the empty name that PostgreSQL's clients send.
    answer = scram.final(CHALLENGE)
    assert answer.startswith("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=")
    with pytest.raises(ScramError, match="does not know the password"):
        scram.verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")  # for the name "user"
    with pytest.raises(ScramError, match="an end without a challenge"):
        Scram("pencil").verify("v=")


def test_the_example_of_the_rfc() -> None:
    scram = Scram("pencil", NONCE)
    scram._first_bare = f"n=user,r={NONCE}"
    assert scram.final(CHALLENGE).endswith("p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    scram.verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


@pytest.mark.parametrize(
    ("challenge", "sentence"),
    [
        ("", "not a challenge"),
        ("r=x,s=W22Z,i=4096", "to somebody else"),
        (f"r={NONCE},s=W22Z,i=4096", "to somebody else"),
        (f"r={NONCE}x,s=,i=4096", "to somebody else"),
        (f"r={NONCE}x,s=!,i=4096", "not a challenge"),
        (f"r={NONCE}x,s=W22Z,i=x", "not a challenge"),
        (f"r={NONCE}x,s=W22Z,i=0", "0 rounds asked"),
        (f"r={NONCE}x,s=W22Z,i=99999999", "99999999 rounds asked, 50000 allowed"),
    ],
)
def test_a_server_that_cheats(challenge: str, sentence: str) -> None:
    with pytest.raises(ScramError, match=sentence):
        Scram("pencil", NONCE).final(challenge)
