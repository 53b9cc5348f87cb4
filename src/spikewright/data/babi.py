"""The bAbI tasks: questions about short stories, each word a neuron that fires for a while."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import torch
from torch import Tensor

from spikewright.data.archive import read_members
from spikewright.data.babi_stories import Question, Words, read_questions
from spikewright.data.split import Arrays, Split, checked_count
from spikewright.data.store import DataFile, DataSource, damaged, locate
from spikewright.errors import DataError, ParameterError
from spikewright.units import check_dt

TASKS = range(1, 21)
QUESTIONS = 1000


class Stories(NamedTuple):
    """Questions as numbers: ``values`` (questions, sentences + 1, words) int16 are words from 1,
    0 where there is none, the question last; ``targets`` the answers; ``support`` (questions,
    sentences) whether the answer follows from a sentence; ``tasks`` (questions,).
    """

    values: Tensor
    targets: Tensor
    support: Tensor
    tasks: Tensor


class Babi:
    """Questions about stories, 1,000 to train on and 1,000 to test with for each of 20 tasks.

    A batch is (time, batch, sentences + 1, words + sentences + 1): a row for each sentence, the
    latest in the row before last, and the question in the last. In a row, each word is a neuron
    that fires for ``hold`` steps in its turn, so that all rows end at the same step; with the
    last word fires the neuron of the sentence's place. After the words, for ``read`` steps, the
    gate (the last neuron) of every row that holds a sentence fires. An answer is one class, lists
    included.

    In one line, a batch is (time, batch, words): story and question word after word, a step each,
    the last word of the question at the last step. For networks that know of no rows.

    Args:
        tasks: numbers from 1 to 20, one or several at once.
        dt: time step, s.
        sentences: how many of a story are told, the last ones.
        words: the most words of a sentence or question; 11 is enough for all tasks.
        hold: steps a word lasts.
        read: steps for the gates, in which the answer is worked out.
        validation: how many training questions of each task are held out, those of the last
            stories; whole stories, so it may be a few more.
        drop: in training, a story loses a share of the sentences that do not support the answer,
            drawn evenly from 0 to ``drop``, so that short and easy ones are among them; makes use
            of the supporting facts that training files name.
        folder: folder with the file; default as for :func:`spikewright.data.data_folder`.
        limit: at most that many questions of each task and split.
        line: whether stories are told in one line; then ``hold`` and ``read`` do not count.

    Raises:
        ParameterError: a task that there is not, or an option out of range.
        DataError: when first used: the file is missing or damaged, or a sentence or question has
            more than ``words`` words.

    Weston et al., arXiv:1502.05698, 2015; the files here are release 1.1. The code of words is
    that of Rao et al., Nature Machine Intelligence 4, 2022.

    >>> data = Babi(tasks=[1, 6], hold=2, read=6)
    >>> data.train.steps, data.name
    (28, 'babi')
    """

    source = DataSource(
        name="babi",
        title="bAbI tasks 1.1, English, 20 x (1000 + 1000) questions",
        licence="CC BY 3.0",
        citation="Weston et al. Towards AI-complete question answering. arXiv:1502.05698, 2015.",
        page="https://github.com/facebookarchive/bAbI-tasks",
        files=(
            DataFile(
                "babi/babi-tasks-v1-1-en.tar.xz",
                459_464,
                sha256="d7010a83c89315323f3c3cbb8d2e3444ae63a0c08b7e0dc4ea4e4a4d5a80c85d",
            ),
        ),
    )

    def __init__(  # noqa: PLR0913 - one for each part of the code that a user may choose
        self,
        tasks: Iterable[int] = TASKS,
        dt: float = 1e-3,
        *,
        sentences: int = 20,
        words: int = 11,
        hold: int = 10,
        read: int = 14,
        validation: int = 100,
        drop: float = 0.0,
        folder: str | Path | None = None,
        limit: int | None = None,
        line: bool = False,
    ) -> None:
        where = "Babi"
        self.name = self.source.name
        self.dt = check_dt(where, dt)
        self.tasks = _checked_tasks(tuple(tasks))
        counts = {"sentences": sentences, "words": words, "hold": hold, "read": read}
        for what, value in counts.items():
            checked_count(where, what, value)
        self.sentences, self.words, self.hold, self.read = sentences, words, hold, read
        if not 0 <= drop <= 1:
            raise ParameterError(
                f"{where}: drop must be a share from 0 to 1, got {drop!r}. Pass 0.5, say."
            )
        self._held_out = checked_count(where, "validation", validation, least=0) or 0
        if self._held_out >= QUESTIONS:
            raise ParameterError(
                f"{where}: validation must be below the {QUESTIONS} training questions, got "
                f"{validation}. Hold out fewer."
            )
        self._folder, self._limit = folder, checked_count(where, "limit", limit)
        self.line = line
        self.train = StorySplit(self, "train", drop)
        self.validation = StorySplit(self, "validation")
        self.test = StorySplit(self, "test")

    @cached_property
    def steps(self) -> int:
        """Time steps of a question, of the longest story in one line."""
        if not self.line:
            return self.words * self.hold + self.read
        told = (q for found in self._questions.values() for q in found)
        return max(sum(map(len, (*q.story[-self.sentences :], q.words))) for q in told)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Feature shape of a time step."""
        words, rows = len(self.vocabulary), self.sentences + 1
        return (words,) if self.line else (rows, words + rows)

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """All words of the tasks' stories and questions, in alphabetical order."""
        told = {
            word
            for found in self._questions.values()
            for question in found
            for words in (*question.story, question.words)
            for word in words
        }
        return tuple(sorted(told))

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """All answers of the tasks, in alphabetical order."""
        answers = {q.answer for found in self._questions.values() for q in found}
        return tuple(sorted(answers))

    @cached_property
    def _questions(self) -> dict[tuple[int, str], list[Question]]:
        path = locate(self.source, self.source.files[0], self._folder)
        members = read_members(path, _is_english)
        return {
            (task, part): _read_task(path, members, task, part)
            for task in self.tasks
            for part in ("train", "test")
        }

    def stories(self, part: str) -> Stories:
        """The questions of ``"train"``, ``"validation"`` or ``"test"`` as numbers."""
        chosen = [(task, q) for task in self.tasks for q in self._part(task, part)]
        words = {word: number for number, word in enumerate(self.vocabulary, 1)}
        answers = {answer: number for number, answer in enumerate(self.classes)}
        values = torch.zeros(len(chosen), self.sentences + 1, self.words, dtype=torch.int16)
        support = torch.zeros(len(chosen), self.sentences, dtype=torch.bool)
        for row, (task, question) in enumerate(chosen):
            told = question.story[-self.sentences :]
            first = self.sentences - len(told)
            for slot, sentence in enumerate((*told, question.words), first):
                self._check_length(task, sentence)
                values[row, slot, -len(sentence) :] = torch.tensor([words[w] for w in sentence])
            shift = self.sentences - len(question.story)
            kept = [place + shift for place in question.support if place + shift >= 0]
            support[row, kept] = True
        targets = torch.tensor([answers[q.answer] for _, q in chosen], dtype=torch.int64)
        tasks = torch.tensor([task for task, _ in chosen], dtype=torch.int64)
        return Stories(values, targets, support, tasks)

    def _part(self, task: int, part: str) -> Sequence[Question]:
        found = self._questions[task, "test" if part == "test" else "train"]
        if part != "test":
            kept = len(found) - self._held_out
            first = found[kept].number if self._held_out else found[-1].number + 1
            held = part == "validation"
            found = [q for q in found if (q.number >= first) == held]
        return found[: self._limit]

    def _check_length(self, task: int, sentence: Words) -> None:
        if len(sentence) > self.words:
            raise DataError(
                f"Babi: words must be at least {len(sentence)}, the length of "
                f"{' '.join(sentence)!r} in task {task}, got {self.words}. Pass words=11, which "
                "is enough for all tasks."
            )


class StorySplit(Split):
    """Questions as word numbers, handed out as spikes; see `Babi`.

    Args:
        data: the set.
        part: ``"train"``, ``"validation"`` or ``"test"``.
        drop: the largest share of sentences that support nothing and are left out.
    """

    def __init__(self, data: Babi, part: str, drop: float = 0.0) -> None:
        super().__init__(self._questions, 0, ())
        self._data, self._part, self.drop = data, part, drop

    @cached_property
    def stories(self) -> Stories:
        """The questions as numbers."""
        return self._data.stories(self._part)

    def _questions(self) -> Arrays:
        return self.stories.values, self.stories.targets

    @property
    def steps(self) -> int:
        return self._data.steps

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape

    @property
    def tasks(self) -> Tensor:
        """The task of each question, (questions,) int64."""
        return self.stories.tasks

    @property
    def support(self) -> Tensor:
        """Whether the answer follows from a sentence, (questions, sentences)."""
        return self.stories.support

    def _encode(self, index: Tensor, generator: torch.Generator | None) -> Tensor:
        words = self.values[index]
        if self.drop:
            words = leave_out(words, self.support[index], self.drop, generator)
        data, vocabulary = self._data, len(self._data.vocabulary)
        if data.line:
            return encode_line(words, vocabulary, data.steps)
        return encode(words, vocabulary, data.hold, data.read)


def encode(words: Tensor, vocabulary: int, hold: int, read: int) -> Tensor:
    """Word numbers as spikes of words, places and gates; see `Babi`.

    Args:
        words: (batch, sentences + 1, words), from 1, 0 where there is none.
        vocabulary: how many words there are.
        hold, read: steps of a word and of the gates.

    Returns:
        (words * hold + read, batch, sentences + 1, vocabulary + sentences + 1) float32.

    >>> encode(torch.tensor([[[0, 0], [2, 1]]]), vocabulary=2, hold=1, read=1)[:, 0, 1]
    tensor([[0., 1., 0., 0.],
            [1., 0., 0., 0.],
            [0., 0., 0., 1.]])
    """
    batch, rows, length = words.shape
    turns = words.permute(2, 0, 1).long()
    spikes = torch.zeros(length * hold + read, batch, rows, vocabulary + rows + 1)
    told = torch.zeros(length, *spikes.shape[1:])
    told.scatter_(3, turns.unsqueeze(3), 1.0)
    places = torch.eye(rows, rows - 1)
    told[-1, ..., vocabulary + 1 : -1] = places * (turns[-1] > 0).unsqueeze(2)
    spikes[: length * hold] = told.repeat_interleave(hold, 0)
    spikes[length * hold :, ..., -1] = (words > 0).any(2).float()
    return spikes[..., 1:].contiguous()


def encode_line(words: Tensor, vocabulary: int, steps: int) -> Tensor:
    """Word numbers as spikes, one word after the other; see `Babi`.

    Args:
        words: (batch, sentences + 1, words), from 1, 0 where there is none.
        vocabulary: how many words there are.
        steps: at least the words of the longest story.

    Returns:
        (steps, batch, vocabulary) float32.

    >>> encode_line(torch.tensor([[[0, 2], [0, 1]]]), vocabulary=2, steps=3)[:, 0]
    tensor([[0., 0.],
            [0., 1.],
            [1., 0.]])
    """
    told = words.flatten(1).long()
    order = (told > 0).long().argsort(stable=True, dim=1)
    last = told.gather(1, order)[:, -steps:]
    spikes = torch.zeros(last.shape[1], len(words), vocabulary + 1)
    spikes.scatter_(2, last.T.unsqueeze(2), 1.0)
    return spikes[..., 1:].contiguous()


def leave_out(
    words: Tensor, support: Tensor, drop: float, generator: torch.Generator | None
) -> Tensor:
    """Stories without some of the sentences that support nothing; the others close up.

    Args:
        words: (batch, sentences + 1, words), from 1, 0 where there is none.
        support: (batch, sentences), sentences that stay.
        drop: the largest share of the others that goes; each story's is drawn evenly up to it.
    """
    story, question = words[:, :-1], words[:, -1:]
    share = drop * torch.rand(len(words), 1, generator=generator)
    stays = support | (torch.rand(support.shape, generator=generator) >= share)
    stays &= (story > 0).any(2)
    order = stays.long().argsort(stable=True, dim=1)  # those that go first, in front
    kept = story * stays.unsqueeze(2)
    story = kept.gather(1, order.unsqueeze(2).expand_as(kept))
    return torch.cat((story, question), 1)


def _is_english(path: PurePosixPath) -> bool:
    return path.parent.name == "en" and path.suffix == ".txt"


def _read_task(path: Path, members: dict[str, bytes], task: int, part: str) -> list[Question]:
    name = next(
        (n for n in members if n.startswith(f"qa{task}_") and n.endswith(f"_{part}.txt")), None
    )
    if name is None:
        raise damaged(path, f"no file en/qa{task}_*_{part}.txt")
    try:
        found = read_questions(members[name].decode("utf-8"), f"{path}: {name}")
    except UnicodeDecodeError as cause:
        raise damaged(f"{path}: {name}", f"no UTF-8 text ({cause})") from cause
    if not found:
        raise damaged(f"{path}: {name}", "no question")
    return found


def _checked_tasks(tasks: tuple[int, ...]) -> tuple[int, ...]:
    wrong = [task for task in tasks if task not in TASKS]
    if wrong or not tasks or len(set(tasks)) < len(tasks):
        raise ParameterError(
            f"Babi: tasks must be different numbers from 1 to 20, at least one, got {tasks}. "
            "Pass for example tasks=[1, 6, 15]."
        )
    return tasks
