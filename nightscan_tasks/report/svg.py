"""What pygal draws, made fit for a page that has neither scripts nor other styles than its own.

Scripts, styles, tooltips, comments and ids go; numbers are cut to a tenth; marks and labels are put where
the lines end. Classes stay: the style sheet knows them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from markupsafe import Markup

Node = ET.Element
_FOREIGN = ("script", "style", "defs", "title", "desc")
_NUMBER = re.compile(r"-?\d+\.\d+")
_LINE = 14.0  # between two labels, one above the other
_MARKS = (  # in a square of 8; told apart without colour
    "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0Z", "M-3-3h6v6h-6Z", "M0-4l4 7h-8Z",
    "M0-4.5l4.5 4.5-4.5 4.5-4.5-4.5Z", "M-1-4h2v3h3v2h-3v3h-2v-3h-3v-2h3Z")


class Drawing:
    """One chart on its way to the page."""

    def __init__(self, root: Node) -> None:
        self._root = root
        self._labels: list[Node] = []
        _strip(root)

    def mark(self, index: int, *, of: int, label: str) -> None:
        """Marks for a line at the points of the series `of`, and what is said where the last of them is."""
        overlay = self._series(of, "overlay")
        places = [(each.get("cx", ""), each.get("cy", "")) for each in overlay.iter("circle")]
        overlay.clear()
        overlay.set("class", f"series serie-{index % len(_MARKS)}")
        for x, y in places:
            _add(overlay, "path", "mark", d=_MARKS[index % len(_MARKS)], transform=f"translate({x} {y})")
        x, y = places[-1]
        text = _add(overlay, "text", "end", x=str(float(x) + 8), y=str(float(y) + 4))
        text.text = label
        self._labels.append(text)

    def limit(self, index: int, label: str) -> None:
        """A line that is not of the data: what should not be passed."""
        overlay = self._series(index, "overlay")
        begin = next(overlay.iter("circle"))
        overlay.clear()
        text = _add(overlay, "text", "beside", x=begin.get("cx", ""), y=str(float(begin.get("cy", "0")) + 13))
        text.text = label
        self._series(index, "plot").set("class", "limit")

    def settle_labels(self, height: float) -> None:
        """Labels that would lie on one another are moved apart."""
        ordered = sorted(self._labels, key=lambda each: float(each.get("y", "0")))
        right = max((float(each.get("x", "0")) for each in ordered), default=0.0)
        lowest = height - 30 - _LINE * len(ordered)
        for above, each in zip([None, *ordered], ordered, strict=False):
            lowest += _LINE
            each.set("x", f"{right:.1f}")
            least = float(above.get("y", "0")) + _LINE if above is not None else 0.0
            wanted = max(float(each.get("y", "0")), least)
            each.set("y", f"{min(wanted, max(lowest, least)):.1f}")

    def bars(self, texts: Sequence[tuple[str, bool]]) -> None:
        """What stands above each bar, and whether it is as it has to be."""
        plot = self._series(0, "plot")
        for group, (text, met) in zip([each for each in plot.iter("g") if each.get("class") == "bar"], texts,
                                      strict=True):
            bar = next(group.iter("rect"))
            bar.set("class", "bar met" if met else "bar missed")
            bar.set("width", f"{max(float(bar.get('width', '0')), 2):.1f}")  # what is there is seen
            top, height = float(bar.get("y", "0")), float(bar.get("height", "0"))
            bar.set("height", f"{height * 0.36:.1f}")
            bar.set("y", f"{top + height * 0.6:.1f}")
            label = _add(group, "text", "beside", x="9", y=f"{top + height * 0.45:.1f}")
            label.text = text

    def text(self, key: str, title: str, told: str) -> Markup:
        """The drawing as it stands in a page, with what it says to those who do not see it."""
        _prune(self._root)
        self._root.attrib.clear()
        for name, value in (("class", "chart"), ("viewBox", self._box()), ("role", "img"),
                            ("aria-labelledby", f"{key}-title {key}-told"),
                            ("xmlns", "http://www.w3.org/2000/svg")):
            self._root.set(name, value)
        for place, (name, said) in enumerate((("title", title), ("told", told))):
            node = ET.Element("title" if name == "title" else "desc", {"id": f"{key}-{name}"})
            node.text = said
            self._root.insert(place, node)
        return Markup(ET.tostring(self._root, encoding="unicode"))  # noqa: S704 - ElementTree escapes

    def _box(self) -> str:
        back = next(each for each in self._root.iter("rect") if each.get("class") == "background")
        return f"0 0 {back.get('width')} {back.get('height')}"

    def _series(self, index: int, where: str) -> Node:
        wanted = " ".join(dict.fromkeys(("plot", where)))
        plot = next(each for each in self._root.iter("g") if each.get("class") == wanted)
        return next(each for each in plot if f"serie-{index}" in (each.get("class") or "").split())


def _add(parent: Node, tag: str, name: str, **attributes: str) -> Node:
    return ET.SubElement(parent, tag, {"class": name, **attributes})


def _prune(node: Node) -> None:
    """Groups in which there is nothing go."""
    for child in list(node):
        _prune(child)
        if child.tag == "g" and not len(child):
            node.remove(child)


def _strip(node: Node) -> None:
    for child in list(node):
        if not isinstance(child.tag, str) or child.tag.rpartition("}")[2] in _FOREIGN \
                or "tooltip" in (child.get("class") or "").replace("tooltip-trigger", ""):
            node.remove(child)
        else:
            _clean(child)
            _strip(child)


def _clean(node: Node) -> None:
    for name in ("style", "id"):
        node.attrib.pop(name, None)
    for name, value in node.attrib.items():
        node.set(name, _NUMBER.sub(lambda found: f"{float(found[0]):.1f}", value))
    kept = [each for each in (node.get("class") or "").split()
            if each not in {"reactive", "tooltip-trigger", "nofill", "always_show"} and "color-" not in each]
    node.set("class", " ".join(kept))
    if not kept:
        del node.attrib["class"]
