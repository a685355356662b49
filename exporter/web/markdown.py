"""Our own runbooks' and remedies' Markdown (CommonMark) as HTML; no HTML in it, no link and no picture gets through."""

from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

_READER: Final = MarkdownIt("commonmark", {"html": False}).disable(["link", "image", "autolink", "html_inline"])


def page(text: str) -> Markup:
    """Of several blocks. Commands can be scrolled by keyboard."""
    return Markup(_READER.render(text))  # noqa: S704 -- escaped by the reader


def line(text: str) -> Markup:
    """Of one, without an element around it."""
    return Markup(_READER.renderInline(text))  # noqa: S704 -- escaped by the reader


def _commands(_renderer: object, tokens: list[Token], at: int, _options: object, _env: object) -> str:
    return f'<pre tabindex="0">{escape(tokens[at].content)}</pre>\n'


for _kind in ("fence", "code_block"):
    _READER.add_render_rule(_kind, _commands)
