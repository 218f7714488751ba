"""Message content as plain text and as HTML, by the templates in `templates/`."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from app.alerting.rendering.content import MessageContent

NOTE = "p: how often chance alone would show a difference as large, before the correction for many features."


def text_of(story: MessageContent) -> str:
    """Return the content as plain text, which ends with a line break."""
    return _environment().get_template("message.txt.j2").render(story=story, note=NOTE).strip("\n") + "\n"


def html_of(story: MessageContent, *, picture: str | None = None, picture_says: str = "") -> str:
    """Return the content as an HTML page.

    `picture`: the Content-ID (without brackets) of the image to show; `picture_says`: its alternative text.
    """
    template = _environment().get_template("message.html.j2")
    return template.render(story=story, note=NOTE, picture=picture, picture_says=picture_says)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("app.alerting"),
        autoescape=select_autoescape(("html.j2",), default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
