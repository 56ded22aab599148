"""Builds the slides and the handout of the class: one HTML file each, from Markdown.

    make class

writes slides.html and handout.html to docs/class and docs/zh-CN/class. Figures are those of
docs/figures and of the executed notebooks: an image with a title, such as
![words](notebooks/01_derivation.ipynb "Test set"), is the output whose description begins so.
Equations become MathML, which browsers draw without a script.
"""

import base64
import json
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import jinja2
import tyro
from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

from shared.command.line import exit_status
from shared.machine.checks import UsageError

ROOT = Path(__file__).parents[1]
TEMPLATES = Path(__file__).parent / "class_templates"
FOLDERS = {"en": ROOT / "docs" / "class", "zh-CN": ROOT / "docs" / "zh-CN" / "class"}
KINDS = ("slides", "handout")
ANSWER = {"en": "Answer", "zh-CN": "答案"}


@dataclass
class Build:
    """Build the slides and the handout of the class, in both languages."""


def picture_of(notebook, beginning):
    """Returns the PNG of a notebook's output whose description begins with a text, in base64.

    Raises:
        UsageError: no picture begins so, or several do.
    """
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    outputs = [out for cell in cells for out in cell.get("outputs", [])]
    pictures = [out for out in outputs if "image/png" in out.get("data", {})]
    found = [
        "".join(out["data"]["image/png"].split())
        for out in pictures
        if out["metadata"]["image/png"]["alt"].startswith(beginning)
    ]
    if len(found) != 1:
        raise UsageError(
            f"{notebook.name}: {len(found)} pictures begin with {beginning!r}; expected one"
        )
    return found[0]


def inlined(source, title, folder):
    """Returns an image as a data URI, given its path in a Markdown file of `folder`."""
    path = folder / source
    if path.suffix == ".ipynb":
        return f"data:image/png;base64,{picture_of(path, title)}"
    if not path.exists():
        raise UsageError(f"{source} does not exist; expected a figure, from {folder}")
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def equation(text, display):
    """Returns the MathML of an equation in LaTeX.

    Args:
        text: LaTeX.
        display: whether it stands alone, in the middle of its line.
    """
    mathml = convert(text, display="block" if display else "inline")
    # Browsers ignore the mathvariant of these letters, which are characters of their own.
    mathml = re.sub(
        r'<mi mathvariant="(double-struck|script)">([A-Z])</mi>',
        lambda found: (
            f"<mi>{unicodedata.lookup(f'MATHEMATICAL {found[1]} CAPITAL {found[2]}')}</mi>"
        ),
        mathml,
    )
    # The space between "log" and what it is the logarithm of, if that is not in parentheses.
    mathml = re.sub(r"(?<=</mn>)<mi>log</mi>", r'<mspace width="0.17em"/><mi>log</mi>', mathml)
    return re.sub(r"<mi>log</mi>(?!<mo)", '<mi>log</mi><mspace width="0.17em"/>', mathml)


def renderer(folder, answer):
    """Returns a MarkdownIt with equations, tables, inlined images and quotes that unfold.

    Args:
        folder: of the Markdown file, for the paths of its images.
        answer: the word that stands for a folded answer.
    """
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.use(
        dollarmath_plugin,
        renderer=lambda text, options: equation(text, options["display_mode"]),
    )

    def image(self, tokens, index, options, env):
        token = tokens[index]
        words = self.renderInlineAsText(token.children, options, env)
        token.attrs["src"] = inlined(token.attrs["src"], token.attrs.pop("title", ""), folder)
        token.attrs["alt"] = words
        return self.renderToken(tokens, index, options, env)

    def opened(self, tokens, index, options, env):
        return f"<details><summary>{answer}</summary>\n"

    def closed(self, tokens, index, options, env):
        return "</details>\n"

    markdown.add_render_rule("image", image)
    markdown.add_render_rule("blockquote_open", opened)
    markdown.add_render_rule("blockquote_close", closed)
    return markdown


def built(source, language):
    """Returns the HTML of a Markdown file; a line --- begins a new slide or page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined
    )
    markdown = renderer(source.parent, ANSWER[language])
    text = source.read_text(encoding="utf-8")
    parts = [markdown.render(part) for part in text.split("\n---\n")]
    title = text.splitlines()[0].removeprefix("# ")
    template = environment.get_template(f"{source.stem}.html")
    return template.render(title=title, parts=parts, language=language) + "\n"


def main():
    """Writes all files and prints their paths."""
    tyro.cli(Build, prog="benchmarks/class_pages.py")
    for language, folder in FOLDERS.items():
        for kind in KINDS:
            path = folder / f"{kind}.html"
            text = built(folder / f"{kind}.md", language)
            path.write_text(text, encoding="utf-8", newline="\n")
            print(f"{path.relative_to(ROOT)} {path.stat().st_size / 1000:,.0f} kB", flush=True)


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
