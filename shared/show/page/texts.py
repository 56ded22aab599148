"""The texts of the page in English and Chinese, and their places in its HTML.

Every file in the folder texts/ holds {key: [English, Chinese]}. An element with data-text="key"
shows the text, and data-text-NAME="key" gives it the attribute NAME. The generated HTML holds the
English text, so the page can be read without JavaScript; text.js switches the language.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

from markupsafe import escape

__all__ = ["Text", "english", "filled", "read_texts"]

FOLDER = Path(__file__).parent / "texts"
EMPTY_ELEMENT = re.compile(r'(<[^<>]*\sdata-text="([\w.-]+)"[^<>]*>)(?=</)')
ATTRIBUTE = re.compile(r'\sdata-text-([a-z-]+)="([\w.-]+)"')


class Text(NamedTuple):
    """A text in both languages: its key, and the values of its {placeholders}."""

    key: str
    values: dict = {}  # noqa: RUF012 - never changed


def read_texts(folder=FOLDER):
    """Returns the texts of all files in a folder.

    Args:
        folder: folder of the .json files.
    Returns:
        {key: [English, Chinese]}
    Raises:
        ValueError: two files have the same key, or a text lacks a language.
    """
    texts = {}
    for path in sorted(folder.glob("*.json")):
        for key, pair in json.loads(path.read_text(encoding="utf-8")).items():
            if key in texts:
                raise ValueError(f"{path.name} has the key {key} of another file")
            if len(pair) != 2:
                raise ValueError(f"{path.name} has {len(pair)} texts for {key}; expected 2")
            texts[key] = pair
    return texts


def english(texts, said):
    """Returns the English words of a `Text`; a str is returned as it is.

    Args:
        texts: dict of `read_texts`.
        said: a Text, or a str that has no translation.
    """
    if isinstance(said, str):
        return said
    return re.sub(r"\{(\w+)\}", lambda name: str(said.values[name[1]]), texts[said.key][0])


def filled(html, texts):
    """Returns HTML with the English text in each empty element and attribute that has a key.

    Args:
        html: HTML, or a Jinja template of it; a key that is a Jinja expression stays as it is.
        texts: dict of `read_texts`.
    Raises:
        KeyError: a key has no text.
    """
    html = EMPTY_ELEMENT.sub(lambda tag: f"{tag[1]}{escape(texts[tag[2]][0])}", html)
    return ATTRIBUTE.sub(lambda at: f'{at[0]} {at[1]}="{escape(texts[at[2]][0])}"', html)
