"""`nightscan completion SHELL`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from nightscan_tasks.cli.choices import Word
from nightscan_tasks.cli.colours import hint, painted
from nightscan_tasks.cli.completing import SHELLS, script
from nightscan_tasks.cli.examples import Examples

_HELP = """Print what makes SHELL complete commands, options, tiers, components, stores, set ids and restores.

SHELL is bash, zsh or fish; without it, that of the environment variable SHELL. Stores and sets are those of
the settings in the shell's environment.

\b
For this shell alone:
  bash  source <(nightscan completion bash)
  zsh   source <(nightscan completion zsh)     after compinit
  fish  nightscan completion fish | source

\b
For ever, of one user, which is what --install does:
  bash  ~/.local/share/bash-completion/completions/nightscan
  zsh   ~/.zfunc/_nightscan, and in ~/.zshrc: fpath+=~/.zfunc; autoload -Uz compinit; compinit
  fish  ~/.config/fish/completions/nightscan.fish

\b
For everybody on a Debian machine, as root:
  bash  /usr/share/bash-completion/completions/nightscan
  zsh   /usr/share/zsh/vendor-completions/_nightscan
  fish  /usr/share/fish/vendor_completions.d/nightscan.fish
"""


@click.command(name="completion", cls=Examples, help=_HELP,
               short_help="complete commands in bash, zsh and fish", examples=(
    "nightscan completion --install",
    "nightscan completion bash",
    "nightscan completion zsh --install",
))
@click.argument("shell", type=Word("shell", SHELLS), required=False, metavar="[SHELL]")
@click.option("--install", is_flag=True, help="Write it where the shell looks for it, of this user.")
def command(shell: str | None, *, install: bool) -> None:
    """Print the script, or install it."""
    chosen = shell or _of_environment()
    text = script(chosen, click.get_current_context().find_root().command)
    if not install:
        click.echo(text, nl=False)
        return
    path = place(chosen)
    _write(path, text)
    click.echo(f"{path} is written.")
    for line in _next(chosen, path):
        click.echo(painted(hint(line)))


def place(shell: str) -> Path:
    """Where a shell looks for the completions of this user."""
    match shell:
        case "bash":
            return _folder("XDG_DATA_HOME", ".local/share") / "bash-completion/completions/nightscan"
        case "zsh":
            return _folder("ZDOTDIR", "") / ".zfunc/_nightscan"
        case _:
            return _folder("XDG_CONFIG_HOME", ".config") / "fish/completions/nightscan.fish"


def _folder(variable: str, below_home: str) -> Path:
    given = os.environ.get(variable, "")
    return Path(given) if given else Path.home() / below_home


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise click.ClickException(f"{path} cannot be written: {exc.strerror}; nightscan completion prints "
                                   f"what belongs there") from exc


def _next(shell: str, path: Path) -> list[str]:
    """What is left to do."""
    match shell:
        case "bash":
            return ["Next: a new shell; Debian's package bash-completion has to be there"]
        case "zsh":
            return [f"Next: in .zshrc, fpath+={path.parent}; autoload -Uz compinit; compinit",
                    "then a new shell"]
        case _:
            return ["Next: a new shell"]


def _of_environment() -> str:
    name = Path(os.environ.get("SHELL", "")).name
    if name not in SHELLS:
        raise click.UsageError(f"which shell? {', '.join(SHELLS)}")
    return name
