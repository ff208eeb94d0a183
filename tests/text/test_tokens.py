"""From texts to token files: what is written, and what is refused in one line."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from sinkbench.artifacts.parquet import read_table, write_table
from sinkbench.artifacts.tokenizer_file import give_the_same_ids
from sinkbench.errors import UserError
from sinkbench.text.corpora import documents, find
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
        ({"void": "", "blank": " \n\t"}, {}, "corpora.texts: no document has text (2 are empty)"),
        ({"utf-16": "text".encode("utf-16")}, {}, "in/texts/utf-16.txt: not UTF-8 text"),
        (
            {"utf-16": "text".encode("utf-16-le")},
            {},
            "corpora.texts: document 'utf-16' holds a NUL character, so it is no text",
        ),
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
        (
            {},
            {"kind": "stdlib", "modules": ["this", "nope"]},
            "corpora.texts.modules: 'nope' is no module of Python's standard library",
        ),
        (
            {},
            {"kind": "stdlib", "modules": ["this", "json"]},
            "corpora.texts.modules: 'json' is a package or compiled, not one file of Python",
        ),
        (
            {},
            {"kind": "stdlib", "modules": ["this", "sys"]},
            "corpora.texts.modules: 'sys' is a package or compiled, not one file of Python",
        ),
        (
            {},
            {"kind": "pydoc_topics", "topics": ["debugger", "nope"]},
            "corpora.texts.topics: 'nope' is not one of ",
        ),
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


def test_modules_that_this_python_lacks_are_left_out_with_a_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdlib_module_names", {*sys.stdlib_module_names, "stripped"})
    stdlib = {"name": "s", "kind": "stdlib", "modules": ["stripped", "this", "abc"]}
    assert [name for name, _ in documents(stdlib)] == ["this", "abc"]
    assert capsys.readouterr().out == "corpora.s.modules: this Python has no stripped\n"
    with pytest.raises(UserError, match="none of stripped is in"):
        list(documents(stdlib | {"modules": ["stripped"]}))


def test_chapters_of_pythons_own_reference_are_documents():
    chapters = {"name": "s", "kind": "pydoc_topics", "topics": ["debugger", "try"]}
    found = dict(documents(chapters))
    assert list(found) == ["debugger", "try"] and len(found["debugger"]) > 10_000


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "in/tokenizer.json: no tokenizer there: No such file"),
        (b"", "in/tokenizer.json: not a readable tokenizer"),
        (b'{"model": null}', "in/tokenizer.json: not a readable tokenizer"),
        (
            b'{"model": {"vocab": {"a": "b", "c": 1}}}',
            "in/tokenizer.json: not a readable tokenizer (it holds no",
        ),
        (b'{"model": {"vocab": {}}, "added_tokens": [{}]}', "in/tokenizer.json: not a readable tokenizer"),
        (b"[]", "in/tokenizer.json: not a readable tokenizer"),
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
        (
            {"text": [1, 2]},
            {},
            "corpora.d.column: 'text' is not a column of text in data/a.parquet (there: none)",
        ),
        (
            {"text": [["a"], ["b"]]},
            {},
            "corpora.d.column: 'text' is not a column of text in data/a.parquet (there: none)",
        ),
        (
            {"text": ["a"], "body": ["b"]},
            {"column": "txt"},
            "corpora.d.column: 'txt' is not a column of text in data/a.parquet (there: text, body)",
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
    with pytest.raises(UserError, match=r"^corpora.d: data/a.parquet cannot be read as parquet: [^\n]+$"):
        list(documents(DATASET))


def parquet(name: str, column, kind=None, **others) -> None:
    """A file of data/ whose column `text` is of one of Arrow's types."""
    Path("data").mkdir(exist_ok=True)
    columns = {"text": pyarrow.array(column, kind), **others}
    pyarrow.parquet.write_table(pyarrow.table(columns), f"data/{name}")


@pytest.mark.parametrize(
    "kind",
    [
        pyarrow.string(),
        pyarrow.large_string(),
        pyarrow.string_view(),
        pyarrow.dictionary(pyarrow.int8(), pyarrow.string()),
    ],
)
def test_every_kind_of_text_column_is_read(kind):
    parquet("a.parquet", ["one", None, "two"], kind)
    assert list(documents(DATASET)) == [("d-0", "one"), ("d-1", ""), ("d-2", "two")]


def test_files_of_a_dataset_may_be_empty_or_have_more_columns():
    parquet("a.parquet", [], pyarrow.string())
    parquet("b.parquet", ["one"], number=[1])
    parquet("c.parquet", [None, None])
    parquet("d.parquet", ["two"], number=[[1.5]])
    assert [text for _, text in documents(DATASET) if text] == ["one", "two"]


def test_a_file_of_a_dataset_without_the_column_is_named():
    parquet("a.parquet", ["one"])
    pyarrow.parquet.write_table(pyarrow.table({"body": ["x"]}), "data/b.parquet")
    with pytest.raises(UserError, match=r"'text' is not a column of text in data/b.parquet \(there: body\)"):
        list(documents(DATASET))


def test_no_more_rows_are_read_than_wanted():
    parquet("a.parquet", ["one", None, "two"])
    Path("data/b.parquet").write_bytes(b"damaged")
    assert [text for _, text in documents({**DATASET, "max_documents": 2})] == ["one", ""]


NAMES = [
    "data[1]",
    "data?",
    "data*",
    "a::b",
    "zip:",
    "~",
    "$HOME",
    "%41",
    "#1",
    "with space",
    "café",
    "a\udcff",
]


@pytest.mark.parametrize("folder", NAMES)
def test_names_of_folders_are_taken_as_they_are(folder):
    for name, text in ((folder, "right"), ("data1", "wrong"), ("datax", "wrong"), ("A", "wrong")):
        parquet("a.parquet", [text])
        os.makedirs(name, exist_ok=True)
        os.replace("data/a.parquet", f"{name}/a.parquet")
    found = list(documents({**DATASET, "path": f"./{folder}" if folder == "~" else folder}))
    assert found == [("d-0", "right")]


def test_rows_of_a_dataset_are_read_by_number_across_its_files():
    parquet("a.parquet", ["zero", "one", "two"])
    parquet("b.parquet", ["three"] + ["x"] * 8)
    assert list(documents({**DATASET, "rows": [3, 1]})) == [("d-1", "one"), ("d-3", "three")]
    assert list(documents({**DATASET, "rows": [0, 10]})) == [("d-00", "zero"), ("d-10", "x")]
    assert list(documents({**DATASET, "rows": [1, 3], "join_rows": True})) == [("d", "one\n\nthree")]


def test_a_row_beyond_a_dataset_is_one_line():
    parquet("a.parquet", ["zero", "one"])
    with pytest.raises(UserError, match=r"^corpora.d.rows: 2 is not a row of the dataset, which has 2, "):
        list(documents({**DATASET, "rows": [0, 2]}))


def test_a_document_begins_at_its_first_character_once_its_lines_end_in_line_feeds():
    parquet("a.parquet", ["\ufeffa\r\nbcd", "xy", "xyz"])
    assert [text for _, text in documents({**DATASET, "first_character": 2})] == ["bcd", "", "z"]
    assert next(text for _, text in documents({**DATASET, "first_character": 0})) == "a\nbcd"


@pytest.mark.parametrize("name", ["books[1].parquet", "books*.parquet", "a::b.parquet", "?.parquet"])
def test_names_of_files_are_taken_as_they_are(name):
    parquet(name, ["right"])
    parquet("books1.parquet", ["other"])
    assert [text for _, text in documents({**DATASET, "files": name})] == ["right"]
    assert sorted(text for _, text in documents(DATASET)) == ["other", "right"]
    assert [path.name for path in find(DATASET)] == sorted([name, "books1.parquet"])


def test_a_text_file_is_found_by_its_name_a_home_and_no_hidden_name(monkeypatch):
    run({"a[1]": "literal", "a1": "neighbour", ".hidden": "no"})
    assert list(run({}, glob="in/texts/a[1].txt")) == ["a[1]"]
    monkeypatch.setenv("HOME", str(Path("in").resolve()))
    assert sorted(run({}, glob="~/texts/*.txt")) == ["a1", "a[1]"]


@pytest.mark.parametrize("name", ["{x}", "a<b>", "two\nlines", "}"])
def test_names_that_the_workflow_cannot_bear_are_refused(name):
    assert refusal({name: "text"}).endswith("is none that Snakemake can read; rename it")


def test_bytes_of_a_name_that_are_no_text_are_escaped():
    assert list(run({"caf\udce9": "text"})) == ["caf\\udce9"]


@pytest.mark.parametrize("text", ["one\ntwo\n", "one\r\ntwo\r\n", "one\rtwo\r", "\ufeffone\ntwo\n"])
def test_line_ends_and_a_mark_of_the_byte_order_do_not_count(text):
    expected = run({"a": "one\ntwo\n"})["a"]
    assert np.array_equal(run({"a": text.encode()})["a"], expected)
    parquet("a.parquet", [text])
    assert list(documents(DATASET)) == [("d-0", "one\ntwo\n")]


def test_empty_documents_are_left_out_and_recorded():
    assert list(run({"a": "text", "b": "", "c": "\ufeff \n"})) == ["a"]
    assert json.loads(Path("tokens.json").read_text())["blank"] == ["b", "c"]
    assert read_table("tokens.parquet")[1]["blank"] == ["b", "c"]


def with_rules(**rules) -> bytes:
    content = json.loads(bytes_tokenizer(("[START]",)).to_str())
    model = rules.pop("model", {})
    return json.dumps(content | rules | {"model": content["model"] | model}).encode()


def truncated() -> bytes:
    tokenizer = bytes_tokenizer()
    tokenizer.enable_truncation(3)
    return tokenizer.to_str().encode()


def padded() -> bytes:
    tokenizer = bytes_tokenizer()
    tokenizer.enable_padding(length=40)
    return tokenizer.to_str().encode()


TEMPLATE = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "[START]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
    "special_tokens": {"[START]": {"id": "[START]", "ids": [256], "tokens": ["[START]"]}},
}


@pytest.mark.parametrize(
    "file",
    [
        truncated(),
        padded(),
        with_rules(post_processor=TEMPLATE),
        with_rules(model={"dropout": 0.9, "merges": [["a", "b"]], "vocab": None}),
        b"\xef\xbb\xbf" + with_rules(),
    ],
    ids=["truncation", "padding", "template", "dropout", "mark"],
)
def test_ids_depend_on_the_text_alone(file):
    if b"0.9" in file:  # a merge that dropout would leave out most of the time
        content = json.loads(file)
        content["model"]["vocab"] = json.loads(bytes_tokenizer().to_str())["model"]["vocab"] | {"ab": 256}
        file = json.dumps(content).encode()
    text = "abababababab, and more text than any training batch would take"
    Path("tokenizer.json").write_bytes(file)
    tokenizer = load_tokenizer(Path("tokenizer.json"))
    found = {tuple(tokenizer.encode(text).ids) for _ in range(20)}
    assert len(found) == 1 and tokenizer.decode(list(found.pop())) == text
    ends = {len(tokenizer.encode(text).ids), len(tokenizer.encode(text, add_special_tokens=False).ids)}
    assert ends == {len(text) - (6 if b"0.9" in file else 0)}


def test_folders_of_a_pattern_are_names_where_there_are_such_folders():
    for folder in ("t[1]", "t1"):
        Path(folder).mkdir()
        Path(folder, f"{folder}.txt").write_text("text")
    assert [path.stem for path in find({"name": "t", "kind": "files", "glob": "t[1]/*.txt"})] == ["t[1]"]
    assert [path.stem for path in find({"name": "t", "kind": "files", "glob": "t[0-9]/*.txt"})] == ["t1"]
    here = str(Path("t[1]/*.txt").absolute())
    assert [path.stem for path in find({"name": "t", "kind": "files", "glob": here})] == ["t[1]"]


def test_marks_of_joined_rows_and_repeated_marks_are_dropped():
    parquet("a.parquet", ["one", "\ufeff\ufefftwo"])
    assert list(documents({**DATASET, "join_rows": True})) == [("d", "one\n\ntwo")]


@pytest.mark.parametrize("kind", [pyarrow.large_list(pyarrow.string()), pyarrow.list_(pyarrow.string(), 1)])
def test_lists_of_texts_are_no_texts(kind):
    parquet("a.parquet", [["one"]], kind)
    with pytest.raises(UserError, match="'text' is not a column of text"):
        list(documents(DATASET))


def test_a_column_with_a_dot_beside_a_struct_is_read():
    parquet("a.parquet", ["x"], **{"a.b": ["right"], "a": [{"b": "wrong"}]})
    assert list(documents({**DATASET, "column": "a.b"})) == [("d-0", "right")]


def test_two_columns_of_one_name_are_refused():
    Path("data").mkdir()
    table = pyarrow.Table.from_arrays([pyarrow.array(["a"]), pyarrow.array(["b"])], names=["text", "text"])
    pyarrow.parquet.write_table(table, "data/a.parquet")
    with pytest.raises(UserError, match=r"is not a column of text in data/a.parquet"):
        list(documents(DATASET))


def test_rules_that_are_on_by_default_count_where_they_are_off():
    rules = json.loads(with_rules())
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    assert not give_the_same_ids(
        rules | {"pre_tokenizer": level}, rules | {"pre_tokenizer": level | {"use_regex": False}}
    )
    assert give_the_same_ids(rules, rules | {"model": rules["model"] | {"fuse_unk": False, "dropout": None}})
