"""Our commands as plugins of the stock toolkit's group, for when its `chaos` script is the one that is found.

Each name of the table is an attribute (`chaos.cli.plugins:run`), made on demand; nothing here imports more than
click, since every `chaos --help` of the toolkit loads all of them.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

import click

from chaos.cli.base import LazyCommand
from chaos.cli.table import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Callable

_MARK = "collab_chaos"
_SHARED = {"run", "validate"}
"""Commands that the toolkit has too: its own experiments keep its log file and its version check."""


def __getattr__(name: str) -> click.Command:
    entry = BY_NAME.get(name)
    if entry is None:
        raise AttributeError(name)
    _calm()
    return LazyCommand(entry)


def _calm() -> None:
    """Let the toolkit's group write no log file and ask no server for a newer version when a command of ours runs.

    Its callback does both before any plugin is called, and offers a plugin no other way to say no. While it loads
    plugins its module is half imported, but the group is there. If a later version is built otherwise, nothing is
    changed: `--no-log-file --no-version-check` remain.
    """
    group = getattr(sys.modules.get("chaostoolkit.commands"), "cli", None)
    callback = getattr(group, "callback", None)
    if not isinstance(group, click.Group) or callback is None or hasattr(callback, _MARK):
        return
    group.callback = _calmed(callback)


def _calmed(callback: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(callback)
    def entered(*args: Any, **options: Any) -> Any:
        ctx = click.get_current_context()
        if _is_for_us(ctx):
            options["no_version_check"] = True
            if ctx.get_parameter_source("log_file") is click.core.ParameterSource.DEFAULT:
                options["no_log_file"] = True
        return callback(*args, **options)

    setattr(entered, _MARK, True)
    return entered


def _is_for_us(ctx: click.Context) -> bool:
    name = ctx.invoked_subcommand
    if name not in BY_NAME:
        return False
    return name not in _SHARED or not any(map(_is_stock, _words_after(name)))


def _words_after(name: str) -> list[str]:
    words = sys.argv[1:]
    return words[words.index(name) + 1 :] if name in words else []


def _is_stock(word: str) -> bool:
    from chaos.cli.kind import is_stock

    return not word.startswith("-") and is_stock(word)
