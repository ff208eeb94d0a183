"""How messages show names and values."""

import json
import re
from pathlib import Path

import pytest
from sinkbench.errors import UserError, check_name, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("name", "'name'"),
        ('a "b"', "'a \"b\"'"),
        ("two\nlines", r"'two\nlines'"),
        (None, "null"),
        (True, "true"),
        ({"a": [1, None]}, '{"a": [1, null]}'),
        (Path("folder/file"), '"folder/file"'),
        ("caf\udce9", r"'caf\udce9'"),
    ],
)
def test_values_are_shown_as_a_config_writes_them(value, text):
    assert shown(value) == text


def test_plain_data_is_shown_in_one_line_that_can_be_printed():
    value = {"text": "\r\n\t\x00\u2028", "numbers": [1, 2.5], "none": None}
    assert not re.search(r"[\r\n\x00]", shown(value)) and shown(value).encode()
    assert json.loads(shown(value)) == value


def test_the_nearest_of_many_names_are_shown():
    with pytest.raises(UserError, match=r"^key: 'name7' is not one of .*name70.*\(the nearest of 90\)$"):
        check_name("name7", [f"name{number}" for number in range(10, 100)], "key")
