"""results/index.html: everything that `reproduce.py` made, on one self-contained page."""

import base64
import json
from html import escape
from pathlib import Path

__all__ = ["page"]

HERE = Path(__file__).parent
# The browser itself then holds the page to it that nothing is fetched.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"

STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --paper: #fbfaf7; --line: #d8d4ca;
        --mute: #6b675e; --good: #1b6e3c; --bad: #b00020; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e6e1; --paper: #17181a; --line: #3a3b3e; --mute: #a09c92;
          --good: #6fcf97; --bad: #ff6b81; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1rem 4rem; background: var(--paper);
       color: var(--ink); font: 1rem/1.55 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .3rem; } h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; }
p, figcaption { max-width: 46rem; } .mute, figcaption { color: var(--mute); font-size: .9rem; }
.proof { border-left: .4rem solid; padding: .6rem 1rem; margin: 1rem 0; }
.good { border-color: var(--good); color: var(--good); }
.bad { border-color: var(--bad); color: var(--bad); }
.proof p { margin: 0; max-width: none; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr));
           gap: 1rem; }
figure { margin: 0; } img { width: 100%; height: auto; background: #fff; border-radius: .3rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; } thead th { vertical-align: bottom; }
pre { overflow-x: auto; padding: .8rem; border: 1px solid var(--line); border-radius: .3rem;
      font-size: .82rem; }
"""


def page(title, lines, good, sections):
    """The text of a page that opens from a file, offline, with nothing fetched.

    Args:
        title: of the page.
        lines: the lines of the proof, shown first.
        good: whether every bit agrees; where not, the lines are red.
        sections: [(heading, [block, …]), …], a block being one of
            ("text", str), ("figures", [(path of a PNG, alternative text), …]),
            ("table", (header, rows)), ("code", str), and once in a page
            ("explorer", (dict of explorer_data, str, whether the str is good news)).
    Returns:
        HTML, every text escaped.
    """
    proof = "".join(f"<p>{escape(line)}</p>" for line in lines)
    body, style, script = "", STYLE, ""
    for heading, blocks in sections:
        content = "".join(_block(*block) for block in blocks)
        body += f"<section><h2>{escape(heading)}</h2>{content}</section>"
        for data, *_ in (content for kind, content in blocks if kind == "explorer"):
            style, script = style + _file("explorer.css"), _script(data)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>"
        f"<h1>{escape(title)}</h1>"
        f'<div class="proof {"good" if good else "bad"}">{proof}</div>'
        f"{body}{script}</body></html>\n"
    )


def _block(kind, content):
    writers = {"text": _text, "figures": _figures, "table": _table, "code": _code}
    return {**writers, "explorer": _explorer}[kind](content)


def _explorer(content):
    _, text, good = content
    return f'<p class="{"mute" if good else "bad"}">{escape(text)}</p>{_file("explorer.html")}'


def _script(data):
    """The explorer's data and code; last on the page, so that all above is seen before."""
    text = json.dumps(data).replace("<", "\\u003c")  # "</script>" would end the element
    return (
        f'<script type="application/json" id="explorer-data">{text}</script>'
        f"<script>{_file('explorer_model.js')}{_file('explorer.js')}</script>"
    )


def _file(name):
    return (HERE / name).read_text(encoding="utf-8")


def _text(text):
    return f"<p>{escape(text)}</p>"


def _code(text):
    return f"<pre>{escape(text)}</pre>"


def _figures(figures):
    def figure(path, text):
        data = base64.b64encode(Path(path).read_bytes()).decode()
        source = f"data:image/png;base64,{data}"
        image = f'<img src="{source}" alt="{escape(text)}">'
        return f"<figure>{image}<figcaption>{escape(text)}</figcaption></figure>"

    return f'<div class="figures">{"".join(figure(*each) for each in figures)}</div>'


def _table(content):
    header, rows = content

    def row(cells, tag):
        return f"<tr>{''.join(f'<{tag}>{escape(str(cell))}</{tag}>' for cell in cells)}</tr>"

    body = "".join(row(cells, "td") for cells in rows)
    table = f"<table><thead>{row(header, 'th')}</thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{table}</div>'
