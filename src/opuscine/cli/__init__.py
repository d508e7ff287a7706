"""The command line: serve · check · catalogue · plugins."""

from opuscine.cli.main import main

__all__ = ["main"]
