"""Mistakes in words: place, what, what to do; keys as far as they are keys, values never."""

from enum import StrEnum
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from exporter.settings_errors import (
    ConfigurationError,
    Problem,
    Problems,
    closest,
    nearest,
    place_of,
    problems_of,
    section_at,
    shown_key,
    shown_path,
)


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    number: Annotated[int, Field(ge=1, le=9)] = 1
    share: Annotated[float, Field(gt=0)] = 0.5
    colour: Colour = Colour.RED
    side: Literal["left", "right"] = "left"
    on: bool = False
    words: Annotated[tuple[str, ...], Field(max_length=2)] = ()
    text: Annotated[str, Field(min_length=1, max_length=3)] = "a"
    checked: str = ""

    @field_validator("checked")
    @classmethod
    def _checked(cls, value):
        if value:
            raise ValueError("must be empty")
        return value


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    inner: Inner = Inner()
    several: tuple[Inner, ...] = ()
    maybe: Inner | None = None
    needed: str


def said(**values):
    with pytest.raises(ValidationError) as raised:
        Outer.model_validate({"needed": "x"} | values)
    return [str(problem) for problem in problems_of(raised.value, Outer)]


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        ({"number": "many"}, "inner.number: must be a whole number"),
        ({"number": 0}, "inner.number: must be at least 1"),
        ({"number": 10}, "inner.number: must be at most 9"),
        ({"number": "9" * 5000}, "inner.number: must be a smaller whole number"),
        ({"share": "half"}, "inner.share: must be a number"),
        ({"share": 0}, "inner.share: must be more than 0.0"),
        ({"share": float("nan")}, "inner.share: must be a finite number"),
        ({"colour": "gren"}, "inner.colour: not known here; did you mean green?"),
        ({"colour": "zzzz"}, "inner.colour: not known here; one of: red, green"),
        ({"side": "lefft"}, "inner.side: not known here; did you mean left?"),
        ({"on": "perhaps"}, "inner.on: must be true or false"),
        ({"words": "abc"}, "inner.words: must be a list"),
        ({"words": ["a", "b", "c"]}, "inner.words: has more than 2 entries"),
        ({"text": ["a"]}, "inner.text: must be text"),
        ({"text": ""}, "inner.text: must not be empty"),
        ({"text": "abcd"}, "inner.text: is longer than 3 characters"),
        ({"checked": "a"}, "inner.checked: must be empty"),
        ({"nummber": 1}, "inner.nummber: no such key; did you mean number?"),
        ([1], "inner: must be a mapping of keys to values"),
    ],
)
def test_each_kind_of_mistake_in_our_words(inner, words):
    assert said(inner=inner) == [words]


def test_a_kind_of_mistake_without_words_is_named_by_its_type():
    class Dated(BaseModel):
        pattern: Annotated[str, Field(pattern="^a$")]

    with pytest.raises(ValidationError) as raised:
        Dated.model_validate({"pattern": "hunter2"})
    assert [str(problem) for problem in problems_of(raised.value, Dated)] == [
        "pattern: isn't valid (string_pattern_mismatch)"
    ]


def test_all_are_told_each_at_its_place():
    assert said(several=[{"number": "x"}, {"onn": 1}], maybe={"sidee": 1}) == [
        "several[0].number: must be a whole number",
        "several[1].onn: no such key; did you mean on?",
        "maybe.sidee: no such key; did you mean side?",
    ]


def test_a_missing_key():
    with pytest.raises(ValidationError) as raised:
        Outer.model_validate({})
    assert [str(problem) for problem in problems_of(raised.value, Outer)] == ["needed: is missing; add it"]


def test_a_validator_of_the_whole_tells_several_at_once():
    class Whole(BaseModel):
        @model_validator(mode="after")
        def _whole(self):
            raise Problems([Problem(("a", 0), "first"), Problem((), "second")])

    with pytest.raises(ValidationError) as raised:
        Whole()
    assert [str(problem) for problem in problems_of(raised.value, Whole)] == ["a[0]: first", "second"]


def test_the_section_at_a_place_is_found_through_lists_and_options():
    assert section_at(Outer, ()) is Outer
    assert section_at(Outer, ("several", 3)) is Inner
    assert section_at(Outer, ("maybe",)) is Inner
    assert section_at(Outer, ("inner", "number")) is Inner


def test_places():
    assert place_of(()) == ""
    assert place_of(("vantages", 1, "name")) == "vantages[1].name"
    assert place_of((0, "name")) == "[0].name"


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("interval", "interval"),
        ("OUTLOOK_EXPORTER_DIAGNOSIS__EXPERIMENTS_PER_HOUR", "OUTLOOK_EXPORTER_DIAGNOSIS__EXPERIMENTS_PER_HOUR"),
        ("password:hunter2", "password…"),
        ("password=hunter2", "password…"),
        ("\x1b[2J", "…"),
        ("", "…"),
        ("a" * 500, "a" * 80 + "…"),
    ],
)
def test_a_key_is_shown_as_far_as_it_is_one(key, shown):
    assert shown_key(key) == shown


@given(st.text())
def test_shown_keys_and_paths_are_printable_in_any_encoding(text):
    assert shown_key(text).rstrip("…").isascii()
    assert shown_path(text).isprintable()
    shown_path(text).encode()


def test_the_nearest_name():
    assert closest("imapp", ["imap", "pop"]) == "imap"
    assert closest("IMAP", ["imap", "pop"]) == "imap"
    assert closest("qqq", ["imap", "pop"]) is None
    assert nearest("imapp", ["imap", "pop"]) == "; did you mean imap?"
    assert nearest("qqq", ["imap", "pop"]) == "; one of: imap, pop"
    assert nearest("qqq", []) == ""
    assert nearest("qqq", [f"name{number}" for number in range(30)]).endswith("name19, …")


def test_a_configuration_error_has_a_line_each():
    error = ConfigurationError(["a.yml: listen: x", "a.yml: probe: y"])
    assert str(error) == "a.yml: listen: x\na.yml: probe: y"
    assert error.problems == ["a.yml: listen: x", "a.yml: probe: y"]
