"""A kept answer is given until the catalogue changes, and never an answer of another catalogue."""

from __future__ import annotations

from multidict import CIMultiDict

from opuscine.prepared_answers import LONGEST_TARGET, OVERHEAD_BYTES, PreparedAnswer, PreparedAnswers

ANSWER, OTHER = (PreparedAnswer(body, tag, CIMultiDict(), b"", "look-up") for body, tag in ((b"{}", '"a"'), (b"[]", '"b"')))


class Catalogue:
    """What is served, as an object that changes with it."""

    def __init__(self) -> None:
        self.edition = object()

    def __call__(self) -> object:
        return self.edition


def test_an_answer_is_given_again_until_the_catalogue_changes() -> None:
    catalogue = Catalogue()
    answers = PreparedAnswers(catalogue)
    answers.keep("/1", ANSWER, edition=answers.edition)
    assert answers.get("/1") is ANSWER
    assert answers.get("/2") is None
    catalogue.edition = object()
    assert answers.get("/1") is None
    answers.keep("/2", OTHER, edition=answers.edition)
    assert answers.get("/1") is None
    assert answers.get("/2") is OTHER


def test_an_answer_made_while_the_catalogue_changed_is_not_kept() -> None:
    catalogue = Catalogue()
    answers = PreparedAnswers(catalogue)
    before = answers.edition
    catalogue.edition = object()
    answers.keep("/1", ANSWER, edition=before)
    assert answers.get("/1") is None


def test_the_oldest_make_room_and_long_targets_are_not_kept() -> None:
    answers = PreparedAnswers(Catalogue(), max_bytes=2 * (OVERHEAD_BYTES + 2))
    for target in ("/1", "/2", "/3", "/" * (LONGEST_TARGET + 1)):
        answers.keep(target, ANSWER, edition=answers.edition)
    assert [answers.get(target) for target in ("/1", "/2", "/3")] == [None, ANSWER, ANSWER]
    assert len(answers) == 2
