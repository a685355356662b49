"""Text to plain data: every scalar stays text, and what isn't a document of ours is told by its line."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.settings_yaml import MAX_BYTES, MAX_DEPTH, MAX_NODES, DocumentError, decode, parse


def refused(text):
    with pytest.raises(DocumentError) as raised:
        parse(text)
    return raised.value.problems


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("", None),
        ("# nothing\n", None),
        (
            "a: off\nb: yes\nc: 0123\nd: 1:30\ne: 2024-13-45\nf: .inf\ng: 1e3",
            {"a": "off", "b": "yes", "c": "0123", "d": "1:30", "e": "2024-13-45", "f": ".inf", "g": "1e3"},
        ),
        ("a: null\nb: ~\nc:\nd: 'null'\ne: ''", {"a": None, "b": None, "c": None, "d": "null", "e": ""}),
        ("a: [1, {b: c}]", {"a": ["1", {"b": "c"}]}),
        ("a: " + "9" * 5000, {"a": "9" * 5000}),
        ('{"a": "b\\/c", "d": true}', {"a": "b/c", "d": "true"}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
        ("- é…\n- \U0001f600", ["é…", "\U0001f600"]),
        ("<<: {a: b}", {"<<": {"a": "b"}}),
    ],
)
def test_documents(text, plain):
    assert parse(text) == plain


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("listen: [unclosed\n", 2, "expected ',' or ']'"),
        ("a: b\nc: d: e\n", 2, "mapping values are not allowed"),
        ("a: b\n\tc: d\n", 2, "cannot start any token"),
        ("a: 1\n---\nb: 2\n", 2, "expected a single document"),
        ("a: 1\nb: *other\n", 2, "aliases"),
        ("a: &self [*self]\n", 1, "aliases"),
        ("a: 1\nb: !!python/object/apply:os.system [id]\n", 2, "tags"),
        ("a: !secret hunter2\n", 1, "tags"),
        ("a: 1\n\nb: 2\na: 3\n", 4, "a is there already, in line 1"),
        ("a: {b: 1, b: 2}\n", 1, "b is there already"),
        ("? [a]\n: b\n", 1, "a key must be a word"),
        ("~: b\n", 1, "a key must be a word"),
        ('a: 1\nb: "\\x1b[2J"\n', 2, "control character"),
        ('a: "\\ud800"\n', 1, "control character"),
        ("a: 1\nb: \x1b[2J\n", 2, "control character"),
        ("a: '\n", 2, "unexpected end of stream"),
    ],
)
def test_refused_with_the_line(text, line, words):
    ((told, what),) = refused(text)
    assert told == line
    assert words in what


def test_every_key_that_is_there_twice_is_told():
    assert [line for line, _ in refused("a: 1\na: 2\nb: 1\nb: 2\nb: 3\n")] == [2, 4, 5]


@pytest.mark.parametrize(
    "text",
    [
        "password: *hunter2",
        "password: 'hunter2\nlisten: [",
        "password: hunter2: x",
        "&hunter2 &hunter2 a",
        'password: "\\hunter2"',
        "%hunter2 x",
        "!hunter2! x",
        "password: !hunter2!x y",
        "%TAG !e! tag:hunter2\n%TAG !e! tag:hunter2\n--- a",
    ],
)
def test_syntax_errors_never_quote_the_file(text):
    assert not any("hunter" in what for _, what in refused(text))


class TestBounds:
    def test_depth(self):
        assert parse("[" * MAX_DEPTH + "]" * MAX_DEPTH)
        ((_, what),) = refused("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))
        assert "nested deeper" in what

    @pytest.mark.parametrize(
        "text",
        [
            "[" * MAX_BYTES,
            "{" * MAX_BYTES,
            "- " * (MAX_BYTES // 2),
            "? " * (MAX_BYTES // 2),
            "a," * (MAX_BYTES // 2),
            "[" + "a," * (MAX_BYTES // 2),
            "- a\n" * (MAX_BYTES // 4),
        ],
    )
    def test_a_full_file_of_any_kind_is_judged_within_seconds(self, text):
        begun = time.process_time()
        try:
            parse(text)
        except DocumentError:
            pass
        assert time.process_time() - begun < 15

    def test_number_of_values(self):
        ((_, what),) = refused("[" + "a," * MAX_NODES + "]")
        assert f"more than {MAX_NODES} values" in what

    def test_an_alias_bomb_is_refused_at_its_first_alias(self):
        bomb = "a: &a [x]\n" + "".join(
            f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)
        )
        assert refused(bomb)[0][0] == 2


class TestDecode:
    def test_utf_8_with_and_without_mark(self):
        assert decode("é".encode()) == "é"
        assert decode(b"\xef\xbb\xbfa: b") == "a: b"

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"\x00\x01binary", "NUL"),
            ("a: b".encode("utf-16"), "NUL"),
            (b"a: b\nc: \xff\n", "line 2 is not UTF-8"),
            (b"a" * (MAX_BYTES + 1), "larger than"),
        ],
    )
    def test_what_is_no_text(self, content, words):
        with pytest.raises(DocumentError, match=words) as raised:
            decode(content)
        assert raised.value.problems[0][0] == 0


def is_plain(value):
    if isinstance(value, dict):
        return all(isinstance(key, str) for key in value) and all(map(is_plain, value.values()))
    return all(map(is_plain, value)) if isinstance(value, list) else value is None or isinstance(value, str)


SOUP = st.lists(
    st.sampled_from(
        [
            *"[]{}:,-?&*!|>'\"%@`#~\n\t \\",
            ": ",
            "- ",
            "a",
            "b",
            "\n  ",
            "null",
            "&x",
            "*x",
            "!!int",
            "---",
            "...",
            "<<",
            "é",
            "\x85",
            "\u2028",
            "\x07",
            "\ud800",
            "0x",
            "1:2",
            "\\u",
        ]
    )
).map("".join)


@given(st.one_of(st.text(), SOUP))
def test_any_text_is_plain_data_or_a_document_error(text):
    try:
        plain, problems = parse(text), [(0, "none")]
    except DocumentError as error:
        plain, problems = None, error.problems
    assert is_plain(plain)
    assert problems
    assert all(line >= 0 and what.isprintable() for line, what in problems)


@given(st.binary())
def test_any_bytes_are_text_or_a_document_error(content):
    try:
        text, problems = decode(content), [(0, "none")]
    except DocumentError as error:
        text, problems = "", error.problems
    assert problems
    text.encode()
