"""Text for the report's captions, which Snakemake renders through Jinja2 and then through docutils.

What a config, a file name or an error message says must stay text there. `plain` takes from it every meaning
to reStructuredText, and `template` every meaning to Jinja2.
"""

import re

# Of inline markup, references, mail addresses; of a colon in a word, which would make an address of it.
MARKUP = re.compile(r"[\\`*_|<>@]|:(?=\S)")
EMPTY = "\\ "  # an escaped space, which docutils drops; what begins with it is no list, title or directive


def plain(text: str) -> str:
    """A text of one line that docutils shows as it is, with any white space as one space."""
    return EMPTY + MARKUP.sub(r"\\\g<0>", " ".join(text.split()))


def template(source: str) -> str:
    """A Jinja2 template that renders to `source`, whatever that holds."""
    return source.replace("{", "{{ '{' }}")


def caption(text: str) -> str:
    """The caption of a table or figure as Snakemake reads it, from plain text."""
    return template(plain(text)) + "\n"
