"""Everything that people read in their language has its French, and French has nothing else."""

from __future__ import annotations

import re
import string
from collections import defaultdict
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.pofile import read_po
from jinja2 import Environment, nodes

import nightscan_tasks
from nightscan_tasks.language import LANGUAGES

PACKAGE = Path(nightscan_tasks.__file__).parent
KEYWORDS = {"text": None, "marked": None, "many": (1, 2)}
IN_TEMPLATES = {"text": 1, "t": 1, "many": 2, "n": 2}  # and how many sentences each is given
TRANSLATED = tuple(code for code in LANGUAGES if code != "en")


def sentences(package: Path) -> dict[tuple[str, ...], str]:
    """Every English sentence in code and templates, its plural beside it, and where it is."""
    found: dict[tuple[str, ...], str] = {}
    for path in sorted(package.rglob("*.py")):
        with path.open("rb") as file:
            for line, message, _, _ in extract("python", file, KEYWORDS):
                key = message if isinstance(message, tuple) else (message,)
                if key[0]:
                    found.setdefault(key, f"{path.relative_to(package)}:{line}")
    for path in sorted(package.rglob("*.jinja")):
        for line, key in _of_template(path):
            found.setdefault(key, f"{path.relative_to(package)}:{line}")
    return found


def _of_template(path: Path) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Babel's own extraction misses methods, as in `say.text("…")`."""
    for call in Environment(autoescape=True).parse(path.read_text()).find_all(nodes.Call):
        name = getattr(call.node, "attr", getattr(call.node, "name", ""))
        given = [each.value for each in call.args if isinstance(each, nodes.Const)]
        if name in IN_TEMPLATES and given:
            yield call.lineno, tuple(given[:IN_TEMPLATES[name]])


def catalogs(code: str) -> dict[str, Catalog]:
    found = {}
    for path in sorted((PACKAGE / "language" / code).glob("*.po")):
        with path.open("rb") as file:
            found[path.name] = read_po(file, locale=code, abort_invalid=True)
    return found


def entries(code: str) -> Iterator[tuple[str, Message]]:
    for name, catalog in catalogs(code).items():
        yield from ((name, message) for message in catalog if message.id)


def key_of(message: Message) -> tuple[str, ...]:
    return message.id if isinstance(message.id, tuple) else (str(message.id),)


def names(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


@pytest.mark.parametrize("code", TRANSLATED)
def test_every_sentence_is_translated(code: str) -> None:
    there = {key_of(message) for _, message in entries(code) if all(_strings(message))}
    gaps = {key[0]: where for key, where in sentences(PACKAGE).items() if key not in there}
    assert not gaps, f"{code} lacks {len(gaps)} sentences:\n" + "\n".join(
        f"{where}: {sentence!r}" for sentence, where in sorted(gaps.items(), key=lambda each: each[1]))


@pytest.mark.parametrize("code", TRANSLATED)
def test_no_translation_is_of_nothing(code: str) -> None:
    said = sentences(PACKAGE)
    unused = [f"{name}: {key_of(message)[0]!r}" for name, message in entries(code)
              if key_of(message) not in said]
    assert not unused, "nobody says this any more:\n" + "\n".join(unused)


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_translation_names_the_same_facts_and_is_finished(code: str) -> None:
    wrong = []
    for name, message in entries(code):
        key = key_of(message)
        wrong += [f"{name}: {said!r} has {names(said)}, not {names(english)}"
                  for said, english in zip_longest(_strings(message), key, fillvalue=key[-1])
                  if names(said) != names(english)]
        if message.fuzzy:
            wrong.append(f"{name}: {key[0]!r} is fuzzy: nobody is told it")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_sentence_is_told_in_one_way_whatever_file_it_is_in(code: str) -> None:
    told: dict[tuple[str, ...], dict[str, tuple[str, ...]]] = defaultdict(dict)
    for name, message in entries(code):
        told[key_of(message)][name] = _strings(message)
    twice = {key[0]: found for key, found in told.items() if len(found) > 1}
    assert not twice, f"one file is enough, the others would go their own ways: {twice}"


@pytest.mark.parametrize("code", TRANSLATED)
def test_plurals_are_those_of_the_language(code: str) -> None:
    for name, catalog in catalogs(code).items():
        expected = Catalog(locale=code)
        assert (catalog.num_plurals, _plain(catalog.plural_expr)) == (
            expected.num_plurals, _plain(expected.plural_expr)), name
        for message in catalog:
            if message.id and isinstance(message.id, tuple):
                assert len(_strings(message)) == expected.num_plurals, (name, message.id)


@pytest.mark.parametrize("code", TRANSLATED)
def test_translations_have_the_blanks_and_breaks_of_their_sentences(code: str) -> None:
    wrong = [f"{name}: {said!r}" for name, message in entries(code) for said in _strings(message)
             if (said != said.strip()) != (key_of(message)[0] != key_of(message)[0].strip())
             or said.count("\n") != key_of(message)[0].count("\n") or "  " in said]
    assert not wrong, "\n".join(wrong)


def test_a_sentence_that_somebody_adds_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "new.py").write_text(
        'def tell(language, name):\n    language.text("a new {name}", name=name)\n'
        '    language.many("{number} thing", "{number} things", 2)\n    return marked("kept " "for later")\n')
    (tmp_path / "page.jinja").write_text(
        '<p>{{ text("a word") }}</p>{% if x %}{{ say.many("{number} a", "{number} b", 1) }}{% endif %}')
    assert set(sentences(tmp_path)) == {
        ("a new {name}",), ("{number} thing", "{number} things"), ("kept for later",), ("a word",),
        ("{number} a", "{number} b")}


def _strings(message: Message) -> tuple[str, ...]:
    return message.string if isinstance(message.string, tuple) else (str(message.string),)


def _plain(expression: str) -> str:
    return re.sub(r"[() ]", "", expression)
