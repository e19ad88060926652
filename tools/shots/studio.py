"""Where pictures are taken."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.tab import open_tab

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tools.tab import Tab

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"


class Spoilt(Exception):
    """A page complained: it is not shown to anybody before that is mended."""


@dataclass(frozen=True)
class Studio:
    """A browser, and a `folder` for whatever has to be made first; it is removed afterwards."""

    browser: Browser
    folder: Path
    images: Path = IMAGES

    def open(self, url: str, **reader: Any) -> Tab:
        """A page as a reader sees it: `width`, `height`, `dark`, `language`, `login`."""
        return open_tab(self.browser, url, **reader)

    def take(self, name: str, tab: Tab, *, whole: bool = True) -> None:
        """Save docs/images/NAME.png, of the `whole` page or of the window, and close the page.

        `Spoilt` where the page complained of anything.
        """
        tab.page.screenshot(path=self.images / f"{name}.png", full_page=whole, animations="disabled")
        tab.close()
        if tab.complaints:
            raise Spoilt(f"{name}: {'; '.join(tab.complaints)}")
        print(f"docs/images/{name}.png")
