"""The command line: serve · check · catalogue · keys · plugins."""

from opuscine.cli.main import main

__all__ = ["main"]
