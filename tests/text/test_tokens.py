"""From texts to token files: what is written, and what is refused in one line."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sinkbench.artifacts.parquet import read_table, write_table
from sinkbench.errors import UserError
from sinkbench.text.corpora import documents
from sinkbench.text.tokens import load_documents, load_tokenizer, tokenize
from tiny_texts import bytes_tokenizer, token_settings

DATASET = {
    "name": "d",
    "kind": "dataset",
    "source": "folder",
    "path": "data",
    "files": "*.parquet",
    "column": "text",
}


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(texts: dict[str, str | bytes], **corpus) -> dict[str, np.ndarray]:
    """Tokenize and read back."""
    settings = token_settings(Path("in"), texts, **corpus)
    tokenize(settings, "tokens.parquet", "tokens.json")
    return load_documents("tokens.parquet", settings)


def refusal(texts: dict[str, str | bytes], **corpus) -> str:
    with pytest.raises(UserError) as caught:
        run(texts, **corpus)
    assert "\n" not in str(caught.value)
    assert not Path("tokens.parquet").exists()
    return str(caught.value)


def test_documents_come_back_in_order_with_a_record():
    text = "naïve, 漢字\n"
    ids = run({"b": "two words", "a": text})
    assert list(ids) == ["a", "b"]
    assert bytes_tokenizer().decode(list(ids["a"])) == text
    record = json.loads(Path("tokens.json").read_text())
    assert record["tokens_per_document"] == {"a": len(text.encode()), "b": 9}
    assert record["documents"] == 2
    assert record["stamp"] == read_table("tokens.parquet")[1]["stamp"]


def test_start_token_and_cap():
    ids = run({"a": "some words"}, start_token="A", max_tokens=4)
    assert list(ids["a"]) == [bytes_tokenizer().token_to_id(letter) for letter in "Asom"]


def test_one_character_is_a_document():
    assert len(run({"a": "x"})["a"]) == 1


@pytest.mark.parametrize(
    ("texts", "corpus", "expected"),
    [
        ({"full": "text", "void": ""}, {}, "corpora.texts: document 'void' is empty"),
        ({"blank": " \n\t"}, {}, "corpora.texts: document 'blank' is empty"),
        (
            {"latin": "é".encode("latin-1")},
            {},
            "in/texts/latin.txt: not UTF-8 text (unexpected end of data at byte 0)",
        ),
        (
            {"binary": b"text\xff\xfe"},
            {},
            "in/texts/binary.txt: not UTF-8 text (invalid start byte at byte 4)",
        ),
        ({}, {"glob": "in/none/*"}, "corpora.texts.glob: no file matches 'in/none/*'"),
        (
            {"a": "x"},
            {"start_token": "<|bos|>"},
            "corpora.texts.start_token: '<|bos|>' is not in the vocabulary of in",
        ),
        ({}, {"kind": "stdlib", "modules": ["nope"]}, "corpora.texts.modules: none of nope is in "),
    ],
)
def test_texts_that_are_refused(texts, corpus, expected):
    assert refusal(texts, **corpus).startswith(expected)


def test_two_files_of_one_name_are_refused():
    for folder in ("x", "y"):
        token_settings(Path("in") / folder, {"same": "text"})
    assert "two documents are called 'same'" in refusal({}, glob="in/**/*.txt")


def test_folders_are_no_documents():
    Path("in/texts/folder.txt").mkdir(parents=True)
    assert list(run({"a": "text"})) == ["a"]


def test_modules_that_this_python_lacks_are_skipped():
    stdlib = {"name": "s", "kind": "stdlib", "modules": ["nope", "this", "abc"]}
    assert [name for name, _ in documents(stdlib)] == ["this", "abc"]


def test_chapters_of_pythons_own_reference_are_documents():
    chapters = {"name": "s", "kind": "pydoc_topics", "topics": ["debugger", "try"]}
    found = dict(documents(chapters))
    assert list(found) == ["debugger", "try"] and len(found["debugger"]) > 10_000
    with pytest.raises(UserError, match="topics: this Python has no chapter 'nope'"):
        list(documents(chapters | {"topics": ["nope"]}))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "in/tokenizer.json: no tokenizer there: No such file"),
        (b"", "in/tokenizer.json: not a readable tokenizer"),
        (b'{"model": null}', "in/tokenizer.json: not a readable tokenizer"),
        (bytes_tokenizer().to_str().encode()[:1000], "in/tokenizer.json: not a readable tokenizer"),
    ],
)
def test_damaged_tokenizer_is_one_line(content, expected):
    path = Path("in/tokenizer.json")
    path.parent.mkdir()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_tokenizer(path)
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_edited_token_file_is_refused():
    run({"a": "text", "b": "more"})
    frame, notes = read_table("tokens.parquet")
    frame.at[1, "token_ids"] = frame.at[1, "token_ids"][::-1]
    write_table("tokens.parquet", frame, notes)
    with pytest.raises(UserError, match=r"tokens.parquet: document 'b' does not match its recorded hash"):
        load_documents("tokens.parquet", token_settings(Path("in"), {}))


def test_truncated_token_file_is_refused():
    run({"a": "text"})
    Path("tokens.parquet").write_bytes(Path("tokens.parquet").read_bytes()[:-20])
    with pytest.raises(
        UserError, match=r"tokens.parquet: not a readable result \(.*\); delete it and run again"
    ):
        load_documents("tokens.parquet", token_settings(Path("in"), {}))


def test_token_file_of_other_settings_is_refused():
    run({"a": "text"})
    with pytest.raises(UserError, match=r"tokens.parquet: made with another config or other code; delete it"):
        load_documents("tokens.parquet", token_settings(Path("in"), {}, max_tokens=2))


def dataset(columns: dict, **settings) -> list[tuple[str, str]]:
    """Documents of a dataset of one file."""
    Path("data").mkdir()
    pd.DataFrame(columns).to_parquet("data/a.parquet")
    return list(documents({**DATASET, **settings}))


def test_rows_of_two_files_join_into_one_document():
    Path("data").mkdir()
    pd.DataFrame({"text": [" = Title = \n", ""]}).to_parquet("data/a.parquet")
    pd.DataFrame({"text": ["prose", None]}).to_parquet("data/b.parquet")
    assert list(documents({**DATASET, "join_rows": True})) == [("d", " = Title = \n\n\n\n\nprose\n\n")]


def test_names_of_rows_sort_as_rows():
    names = [name for name, _ in dataset({"text": ["x"] * 11})]
    assert names == sorted(names)
    assert names[-1] == "d-10"


@pytest.mark.parametrize(
    ("columns", "settings", "expected"),
    [
        ({"text": ["a", ""]}, {}, "corpora.d: document 'd-1' is empty"),
        ({"text": ["a", None]}, {}, "corpora.d: document 'd-1' is empty"),
        ({"text": [1, 2]}, {}, "corpora.d.column: 'text' is not a column of text (there is none)"),
        (
            {"text": ["a"], "body": ["b"]},
            {"column": "txt"},
            "corpora.d.column: 'txt' is not a column of text (text, body)",
        ),
        ({"text": ["a"]}, {"files": "none/*"}, "corpora.d.files: no 'none/*' in data"),
    ],
)
def test_datasets_that_are_refused(columns, settings, expected):
    with pytest.raises(UserError) as caught:
        dataset(columns, **settings)
    assert str(caught.value) == expected


def test_damaged_parquet_is_one_line():
    Path("data").mkdir()
    Path("data/a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match=r"^corpora.d: cannot read data/\*.parquet: [^\n]+$"):
        list(documents(DATASET))
