"""A click group that imports a command only when it is called."""

from __future__ import annotations

import importlib

import click


class LazyGroup(click.Group):
    """Commands are given as ``name -> "module:attribute"``; mistyped names are answered with the nearest."""

    def __init__(self, *args: object, commands: dict[str, str], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self._where = commands

    def list_commands(self, _context: click.Context) -> list[str]:
        """Names in alphabetical order."""
        return sorted(self._where)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """Import and return a command."""
        if name not in self._where:
            return None
        module, attribute = self._where[name].split(":")
        return getattr(importlib.import_module(module), attribute)

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command when there is none of this name."""
        import difflib

        if args and args[0] not in self._where:
            close = difflib.get_close_matches(args[0], self._where, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(self.list_commands(context))}"
            raise click.UsageError(f"there is no command {args[0]}: {hint}", context)
        return super().resolve_command(context, args)
