"""OpusCine: recommends films through a language model and says where each can be watched."""

from importlib.metadata import version

__version__ = version("opuscine")
