"""A pinned pip comes from wherever pip is configured to look, and from nowhere else."""

from __future__ import annotations

import base64
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.mark.usefixtures("no_pip_configuration")
def test_the_index_of_the_environment_is_asked(
    pip_index: ModuleType, index: Any, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", index.url + "/")
    assert pip_index.fetch(index.wheel, index.sha256) == index.content
    assert index.asked == ["/simple/pip/", f"/files/{index.wheel}"]


@pytest.mark.parametrize("section", ["global", "install"])
def test_the_index_of_the_configuration_file_is_asked(
    pip_index: ModuleType, index: Any, no_pip_configuration: Path, section: str,
) -> None:
    no_pip_configuration.write_text(f"[{section}]\nindex-url = {index.url}\n")
    assert pip_index.fetch(index.wheel, index.sha256) == index.content


def test_an_extra_index_is_asked_when_the_first_does_not_answer(
    pip_index: ModuleType, index: Any, no_pip_configuration: Path,
) -> None:
    no_pip_configuration.write_text(
        f"[global]\nindex-url = http://127.0.0.1:1/simple\nextra-index-url =\n    {index.url}\n")
    assert pip_index.fetch(index.wheel, index.sha256) == index.content


def test_a_wheel_in_a_folder_needs_no_index(
    pip_index: ModuleType, index: Any, no_pip_configuration: Path, tmp_path: Path,
) -> None:
    (tmp_path / index.wheel).write_bytes(index.content)
    no_pip_configuration.write_text(f"[global]\nno-index = true\nfind-links = {tmp_path}\n")
    assert pip_index.fetch(index.wheel, index.sha256) == index.content
    assert index.asked == []


@pytest.mark.usefixtures("no_pip_configuration")
def test_an_index_in_files_is_read(
    pip_index: ModuleType, index: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = tmp_path / "simple" / "pip"
    page.mkdir(parents=True)
    (page / "index.html").write_text(f"<A HREF='{index.wheel}'>pip</A>")
    (page / index.wheel).write_bytes(index.content)
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "simple").as_uri())
    assert pip_index.fetch(index.wheel, index.sha256) == index.content


@pytest.mark.usefixtures("no_pip_configuration")
def test_a_password_in_the_index_address_is_sent_and_never_printed(
    pip_index: ModuleType, index: Any, monkeypatch: pytest.MonkeyPatch,
) -> None:
    index.password = f"Basic {base64.b64encode(b'me:p@ss').decode()}"
    with_user = index.url.replace("127.0.0.1", "me:p%40ss@127.0.0.1")
    monkeypatch.setenv("PIP_INDEX_URL", with_user)
    # The wheel's own link carries the user too: it is on the same host.
    assert pip_index.fetch(index.wheel, index.sha256) == index.content
    with pytest.raises(pip_index.WheelError) as caught:
        pip_index.fetch("pip-2.0-py3-none-any.whl", index.sha256)
    assert "p%40ss" not in str(caught.value)
    assert "lists no pip-2.0" in str(caught.value)


@pytest.mark.usefixtures("no_pip_configuration")
def test_a_wheel_that_is_not_the_pinned_one_is_refused(
    pip_index: ModuleType, index: Any, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    expected = index.sha256
    index.content = b"another wheel"
    with pytest.raises(pip_index.WheelError, match=f"expected {expected}"):
        pip_index.fetch(index.wheel, expected)


@pytest.mark.usefixtures("no_pip_configuration")
def test_without_an_answer_every_place_is_named_and_a_way_out(
    pip_index: ModuleType, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    with pytest.raises(pip_index.WheelError, match="refused") as caught:
        pip_index.fetch("pip-1.0-py3-none-any.whl", "0" * 64)
    assert "http://127.0.0.1:1/simple/pip/" in str(caught.value)
    assert "python3-venv" in str(caught.value)
