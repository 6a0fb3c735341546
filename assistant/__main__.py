"""The entry point of the `bedside` command: surroundings, exit codes, one-line errors."""

import io
import os
import sys

import typer

from assistant.cli import app
from assistant.plaintext import plain_line
from assistant.surroundings import keep_quiet, leave_no_core_dump
from models.errors import BedsideError

_ERROR, _USAGE, _INTERRUPTED = 1, 2, 130
# What Typer raises for wrong usage; its name is public, that of its base depends on the version.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


def main() -> None:
    """Run the command line and leave the process with its exit code: 0 done, 1 error, 2 usage, 130 interrupted."""
    keep_quiet()
    leave_no_core_dump()
    _open_missing_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a locale without the character shows ?, not a traceback
    try:
        code = _run()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has left. Python would complain about the pipe once more when it flushes at exit.
        _forget_output()
        code = _ERROR
    except OSError as error:
        _forget_output()
        code = _complain(_refused(error), _ERROR)
    sys.exit(code)


def _refused(error: OSError) -> str:
    """What the system did not let us do: it names every file but those that were open before, the output."""
    reason = error.strerror or error
    if error.filename is not None:
        return f"cannot use {os.fsdecode(error.filename)} ({reason}); check its owner and the disk"
    return f"cannot write the output ({reason}); free some disk or write elsewhere"


def _open_missing_streams() -> None:
    """A caller may have closed the standard streams; what is written to them is then dropped, what is read is empty."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123  (lives as long as the process)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123


def _forget_output() -> None:
    """Send what is still buffered nowhere, so that Python does not complain about it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run() -> int:
    try:
        result = app(prog_name="bedside", standalone_mode=False)
    except BedsideError as error:
        return _complain(str(error), _ERROR)
    except _UsageError as error:
        return _complain_usage(error)
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED
    return result if isinstance(result, int) else 0


def _complain(message: str, code: int) -> int:
    print(f"error: {plain_line(message)}", file=sys.stderr)
    return code


def _complain_usage(error: Exception) -> int:
    """Say what is wrong with the command line and where its help is, or show the help that Typer made of it."""
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    if "\n" in message:
        print(message, file=sys.stderr)
        return _USAGE
    context = getattr(error, "ctx", None)
    return _complain(f"{message.rstrip('.')}; see {context.command_path if context else 'bedside'} --help", _USAGE)


if __name__ == "__main__":
    main()
