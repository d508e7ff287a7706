"""What `opuscine` understands."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from opuscine import __version__
from opuscine.app import check_door
from opuscine.cli import catalogue, check, keys, plugins, publish
from opuscine.errors import OpusCineError
from opuscine.server import run
from opuscine.settings import Settings, load_settings, settings_table
from opuscine.telemetry.logs import configure_logs


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status: 0 done, 1 it failed and one line says why, 2 it was not understood."""
    arguments = parser().parse_args(argv)
    configure_logs(level="warning", readable=True, stream=sys.stderr)
    try:
        return int(arguments.run(arguments))
    except OpusCineError as error:
        print(f"opuscine: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def parser() -> argparse.ArgumentParser:
    """Describe all commands."""
    top = argparse.ArgumentParser(prog="opuscine", description="Recommend films and say where to watch them.")
    top.add_argument("--version", action="version", version=f"opuscine {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser("serve", help="run the service", description="Run the service. Settings come from the environment.")
    command.add_argument("--host", help="address to listen on (HOST)")
    command.add_argument("--port", help="port to listen on (PORT)")
    command.add_argument("--workers", help="worker processes, or auto: one a core (WORKERS)")
    command.set_defaults(run=serve)

    command = commands.add_parser("check", help="check the settings, the data and the servers behind the service")
    command.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    command.set_defaults(run=check.run)

    command = commands.add_parser("catalogue", help="compile the catalogue, or describe it")
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    action = actions.add_parser("build", help="compile the sources, if that has not been done")
    action.set_defaults(run=catalogue.build)
    action = actions.add_parser("info", help="say what the catalogue holds")
    action.add_argument("--json", action="store_true", help="print one JSON object")
    action.set_defaults(run=catalogue.info)

    action = actions.add_parser("publish", help="write the catalogue's links to Redis, for machines that lack it")
    publish.add_arguments(action)
    action.set_defaults(run=publish.run)

    keys.add_actions(commands.add_parser("keys", help="make, list and revoke API keys"))

    command = commands.add_parser("plugins", help="list the middlewares, where they come from and their order")
    command.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    command.set_defaults(run=plugins.run)

    command = commands.add_parser("settings", help="print every setting as a table")
    command.set_defaults(run=print_settings)
    return top


def serve(arguments: argparse.Namespace) -> int:
    """Run the service until it is told to stop: in this process, or in workers behind a parent that this process becomes."""
    for name in ("host", "port", "workers"):
        if (given := getattr(arguments, name)) is not None:
            os.environ[name.upper()] = given
    settings = read_settings()
    if settings.workers is not None and settings.worker is None:
        become_parent(settings)
    run(settings)
    return 0


def become_parent(settings: Settings) -> NoReturn:
    """Become the parent of the workers, a process that loads nothing of the service."""
    check_door(settings)
    server = settings.server
    options = {
        "--workers": settings.workers,
        "--host": server.host,
        "--port": server.port,
        "--drain": server.drain_delay_s + server.drain_timeout_s,
        "--log-level": settings.log_level,
    }
    command = [sys.executable, "-m", "opuscine.supervisor", *(f"{name}={value}" for name, value in options.items())]
    if settings.environment == "development":
        command.append("--readable")
    os.execv(sys.executable, command)  # noqa: S606  our own command


def read_settings() -> Settings:
    """Read the settings and send the logs where they say."""
    settings = load_settings(env_file=Path(".env"))
    configure_logs(level=settings.log_level, readable=settings.environment == "development", worker=settings.worker)
    return settings


def print_settings(_arguments: argparse.Namespace) -> int:
    """Print the table that the README shows."""
    print(settings_table(), end="")
    return 0
