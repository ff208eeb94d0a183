"""A page or caption as Snakemake shows it: rendered through Jinja2, then through docutils."""

from types import SimpleNamespace

from docutils.core import publish_parts
from jinja2 import Environment

# What Snakemake appends to each of them: targets of its own panels and of the files that it shows.
LINKS = """

.. _Workflow: javascript:show_panel('workflow')
{% for file in files %}
.. _{{ file }}: javascript:app.showResultInfo('{{ file|urlencode }}')
{% endfor %}
"""
SECRET = "what only a template knows"


def shown(source: str, *files: str) -> str:
    """The HTML of a page that links to `files`; docutils writes what it cannot read into it."""
    template = Environment(trim_blocks=True, lstrip_blocks=True).from_string(source + LINKS)
    text = template.render(snakemake=SimpleNamespace(config=SECRET), files=files)
    return publish_parts(text, writer="html")["html_body"]
