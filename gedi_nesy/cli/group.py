"""The group of all commands, which answers at once and turns each error that a user can mend into one sentence."""

import io
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click
from rich.console import Console

from gedi_nesy.errors import UserError

NO_MEMORY = ("can't allocate memory", "out of memory")  # in torch's RuntimeError, on the CPU and on a GPU


class Command(click.Command):
    """A command that works with PyTorch, which takes seconds to load; its help needs no PyTorch."""

    def invoke(self, ctx: click.Context) -> Any:
        """Load PyTorch, and say so meanwhile; then run the command."""
        if "torch" not in sys.modules:
            with Console(stderr=True).status("loading PyTorch"):
                import_module("torch")
        return super().invoke(ctx)


class Commands(click.Group):
    """Loads a command's module when it is needed.

    Args:
        modules: for each command the module that has it.
        summaries: for each command its line in the list of all.
    """

    def __init__(self, *args: Any, modules: dict[str, str], summaries: dict[str, str], **options: Any) -> None:
        super().__init__(*args, **options)
        self.modules, self.summaries = modules, summaries

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of all commands, without loading one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, f"{self.summaries[name]}.") for name in self.list_commands(ctx)])

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, as the help shows them."""
        return sorted(self.modules)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of that name; None if there is none."""
        module = self.modules.get(name)
        if module is None:
            return None
        command: click.Command = getattr(import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn what a user can mend into one sentence and exit code 1, and a warning into one line."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a file's name may have what the terminal has not
        with one_sentence(), warnings.catch_warnings():
            warnings.showwarning = _show_warning
            return super().invoke(ctx)


@contextmanager
def one_sentence() -> Iterator[None]:
    """Inside the block what a user can mend ends the command with one sentence and exit code 1."""
    try:
        yield
    except UserError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename or 'A file'}: {error.strerror or error}.") from error
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(words in str(error) for words in NO_MEMORY):
            raise
        raise click.ClickException("There is not enough memory for this; ask for less at a time.") from error


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    click.echo(f"Warning: {message}", err=True)
