"""The text files of the bAbI tasks: stories, questions and answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from spikewright.data.store import damaged

Words = tuple[str, ...]


class Question(NamedTuple):
    """A question and what was told before it in its story.

    ``support`` holds places in ``story`` of the sentences that the answer follows from; ``number``
    counts stories of the file.
    """

    story: tuple[Words, ...]
    words: Words
    answer: str
    support: tuple[int, ...]
    number: int


def read_words(text: str) -> Words:
    """The words of a sentence, in lower case, without marks.

    >>> read_words("Where is Mary?")
    ('where', 'is', 'mary')
    """
    return tuple(re.findall(r"\w+", text.lower()))


def read_questions(text: str, where: str | Path) -> list[Question]:
    """All questions of one file.

    Lines are ``id sentence``, or ``id question<tab>answer<tab>supporting ids``; id 1 begins a
    story. Of the story a question has all sentences before it, but no questions.

    Args:
        where: the file, for errors.

    Raises:
        DataError: a line is of another form, out of order, or supports itself by what was not
            told; names the line.

    >>> text = "1 Mary went home.\\n2 Where is Mary?\\thome\\t1\\n"
    >>> (question,) = read_questions(text, "made up")
    >>> question.answer, question.story, question.support
    ('home', (('mary', 'went', 'home'),), (0,))
    """
    return list(_questions(text, where))


def _questions(text: str, where: str | Path) -> Iterator[Question]:
    story: dict[int, Words] = {}
    number, last = -1, 0
    for line, row in enumerate(text.splitlines(), 1):
        place, _, rest = row.partition(" ")
        fields = rest.split("\t")
        if not place.isdecimal() or len(fields) not in (1, 3) or not read_words(fields[0]):
            raise damaged(where, f"in line {line} no sentence or question: {row[:60]!r}")
        if int(place) not in (1, last + 1):
            raise damaged(where, f"in line {line} id {place} after {last}")
        last = int(place)
        if last == 1:
            story, number = {}, number + 1
        if len(fields) == 1:
            story[last] = read_words(fields[0])
            continue
        yield _question(fields, story, number, f"in line {line} of {where}")


def _question(fields: list[str], story: dict[int, Words], number: int, where: str) -> Question:
    text, answer, support = fields
    places = {told: place for place, told in enumerate(story)}
    try:
        found = tuple(places[int(told)] for told in support.split())
    except (ValueError, KeyError) as cause:
        raise damaged(where, f"support {support!r} that was not told before") from cause
    if not answer.strip():
        raise damaged(where, "a question without an answer")
    return Question(tuple(story.values()), read_words(text), answer.strip(), found, number)
