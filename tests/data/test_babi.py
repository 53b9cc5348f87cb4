"""bAbI stories: the reader on made-up files, the code of words, and facts of the real files."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
import torch

from spikewright.data.babi import Babi, encode, leave_out
from spikewright.data.babi_stories import read_questions
from spikewright.errors import DataError, ParameterError

STORY = """1 Mary moved to the bathroom.
2 John went to the hallway.
3 Where is Mary?\tbathroom\t1
4 Daniel got the milk, the apple.
5 Where is Daniel? \tmilk,apple\t4 2
1 Sandra left.
2 Where is Sandra?\tnowhere\t1
"""


def write(folder: Path, files: dict[str, str]) -> Path:
    path = folder / "babi" / "babi-tasks-v1-1-en.tar.xz"
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:xz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(f"tasksv11/{name}")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    told = dict.fromkeys(("train", "test"), STORY)
    names = {f"en/qa3_some-name_{part}.txt": text for part, text in told.items()}
    other = {f"en/qa13_other_{part}.txt": STORY for part in told}
    return write(tmp_path, names | other | {"shuffled/qa3_some-name_train.txt": "no story"})


def test_a_question_has_all_sentences_before_it_and_no_questions() -> None:
    first, second, third = read_questions(STORY, "made up")
    told = [" ".join(sentence) for sentence in first.story]
    assert told == ["mary moved to the bathroom", "john went to the hallway"]
    assert (first.words, first.answer, first.support) == (("where", "is", "mary"), "bathroom", (0,))
    assert len(second.story) == 3
    assert (second.answer, second.support) == ("milk,apple", (2, 1))
    assert (third.story, third.number) == ((("sandra", "left"),), 1)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("one Mary left.", "in line 1 no sentence"),
        ("1 Mary left.\n3 John left.", "in line 2 id 3 after 1"),
        ("1 Mary left.\n2 Where is Mary?\tout", "in line 2 no sentence or question"),
        ("1 Mary left.\n2 Where is Mary?\tout\t3", "support '3' that was not told"),
        ("1 Mary left.\n2 Where is Mary?\t \t1", "a question without an answer"),
        ("1 ...", "in line 1 no sentence"),
        ("² Mary left.", "in line 1 no sentence"),
    ],
)
def test_a_damaged_line_is_named(text: str, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        read_questions(text, "made up")


def test_stories_are_cut_to_their_last_sentences_and_stand_before_the_question(folder: Path):
    data = Babi([3], sentences=2, words=6, validation=1, folder=folder)
    stories, words = data.stories("test"), ("", *data.vocabulary)
    told = [[" ".join(words[n] for n in row if n) for row in one] for one in stories.values]
    assert told == [
        ["mary moved to the bathroom", "john went to the hallway", "where is mary"],
        ["john went to the hallway", "daniel got the milk the apple", "where is daniel"],
        ["", "sandra left", "where is sandra"],
    ]
    assert [data.classes[k] for k in stories.targets] == ["bathroom", "milk,apple", "nowhere"]
    assert stories.support.tolist() == [[True, False], [True, True], [False, True]]


def test_words_places_and_gates_fire_in_their_turn(folder: Path) -> None:
    data = Babi([3], sentences=3, words=6, hold=2, read=3, validation=1, folder=folder)
    x, y = data.test.batch([0])
    words = len(data.vocabulary)
    assert x.shape == (15, 1, 4, words + 4) == (data.steps, 1, *data.test.shape)
    assert y.tolist() == [data.classes.index("bathroom")]
    mary = data.vocabulary.index("mary")
    assert x[:, 0, 1, mary].nonzero().flatten().tolist() == [2, 3]  # five words end at step 12
    assert x[:, 0, 3, mary].nonzero().flatten().tolist() == [10, 11]
    assert x[:, 0, 1, words + 1].nonzero().flatten().tolist() == [10, 11]  # with the last word
    assert x[:, 0, 3, words:-1].sum() == 0  # the question has no place in the story
    assert x[..., -1].sum((0, 1)).tolist() == [0.0, 3.0, 3.0, 3.0]
    assert x[:12, ..., -1].sum() == 0
    assert x[:, 0, 0].sum() == 0


def test_in_one_line_words_follow_each_other_and_end_together(folder: Path) -> None:
    data = Babi([3], sentences=3, words=6, validation=1, folder=folder, line=True)
    x, _ = data.test.batch([0, 2])
    assert x.shape == (19, 2, len(data.vocabulary)) == (data.steps, 2, *data.test.shape)
    told = [" ".join(data.vocabulary[w] for w in row.nonzero()[:, 1]) for row in x.unbind(1)]
    assert told == [
        "mary moved to the bathroom john went to the hallway where is mary",
        "sandra left where is sandra",
    ]
    assert x[-1].sum(1).tolist() == [1.0, 1.0]


def test_whole_stories_are_held_out_and_no_question_is_lost(folder: Path) -> None:
    data = Babi([3, 13], validation=1, folder=folder)
    assert (len(data.train), len(data.validation), len(data.test)) == (4, 2, 6)
    assert data.train.tasks.tolist() == [3, 3, 13, 13]
    two = Babi([3], validation=2, folder=folder)  # the second of a story of two takes it along
    assert (len(two.train), len(two.validation)) == (0, 3)


def test_one_task_has_its_own_vocabulary_and_answers(folder: Path) -> None:
    data = Babi([3], folder=folder, validation=0)
    assert data.classes == ("bathroom", "milk,apple", "nowhere")
    assert len(data.vocabulary) == len(set(data.vocabulary)) == 16


def test_sentences_that_support_the_answer_are_never_left_out() -> None:
    words = torch.arange(1, 6)[:, None].repeat(4, 1, 3).to(torch.int16)
    words[:, :1] = 0  # one row is empty
    support = torch.zeros(4, 4, dtype=torch.bool)
    support[:, 1] = True
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(50):
        left = leave_out(words, support, 1.0, generator)
        assert torch.equal(left[:, -1], words[:, -1])
        for story in left[:, :-1, 0].tolist():
            kept = [word for word in story if word]
            assert story == [0] * (4 - len(kept)) + kept == [0] * (4 - len(kept)) + sorted(kept)
            assert 2 in kept
            seen.add(tuple(kept))
    assert seen == {(2,), (2, 3), (2, 4), (2, 3, 4)}


def test_training_alone_leaves_sentences_out_by_its_generator(folder: Path) -> None:
    data = Babi([3], drop=1.0, validation=1, folder=folder)
    index = [0, 1] * 20
    first, again = (data.train.batch(index, torch.Generator().manual_seed(1))[0] for _ in "ab")
    whole = Babi([3], validation=1, folder=folder).train.batch(index)[0]
    assert torch.equal(first, again)
    assert first[..., -1].sum() < whole[..., -1].sum()
    assert torch.equal(data.test.batch([0, 1])[0], data.test.batch([0, 1])[0])


def test_a_sentence_that_is_too_long_is_named_with_the_way_out(folder: Path) -> None:
    with pytest.raises(DataError, match=r"words must be at least 6, .* in task 3, got 5"):
        len(Babi([3], words=5, validation=1, folder=folder).test)


def test_a_missing_task_and_other_text_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file en/qa4_\*_train\.txt"):
        len(Babi([4], folder=folder).train)
    broken = write(tmp_path / "broken", {"en/qa1_a_train.txt": "", "en/qa1_a_test.txt": STORY})
    with pytest.raises(DataError, match="no question"):
        len(Babi([1], folder=broken).train)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"tasks": []}, "tasks must be different numbers from 1 to 20"),
        ({"tasks": [1, 1]}, "tasks must be different"),
        ({"tasks": [21]}, "tasks must be different numbers from 1 to 20"),
        ({"drop": 1.5}, "drop must be a share"),
        ({"validation": 1000}, "validation must be below"),
        ({"read": 0}, "read must be a whole number"),
    ],
)
def test_options_out_of_range_are_refused(options: dict, fault: str) -> None:
    with pytest.raises(ParameterError, match=fault):
        Babi(**options)


def test_an_empty_story_is_a_question_alone() -> None:
    x = encode(torch.tensor([[[0, 0], [0, 0], [1, 2]]]), vocabulary=2, hold=1, read=2)
    assert x[:, :, :2].sum() == 0
    assert x[:, 0, 2].sum() == 2 + 2


def test_the_real_files_hold_a_thousand_questions_each(shared_data: Path) -> None:
    path = shared_data / "babi" / "babi-tasks-v1-1-en.tar.xz"
    if not path.is_file():
        pytest.skip(f"the bAbI tasks are not in {path}")
    data = Babi([1, 17], folder=shared_data)
    assert (len(data.test), len(data.train) + len(data.validation)) == (2000, 2000)
    assert data.test.tasks.bincount()[[1, 17]].tolist() == [1000, 1000]
    assert "hallway" in data.classes
    found = data.stories("test")
    assert bool((found.support.sum(1) == torch.where(found.tasks == 1, 1, 2)).all())
