"""What a compiler process is asked for, and what it answers: plain values that go through a pipe as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from opuscine.catalogue.cache_folder import Manifest
from opuscine.catalogue.sources import SourceFile
from opuscine.codec import dumps, loads
from opuscine.model import Kind

AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class Job:
    """Ask for the sources' generation. A file of `damaged` identity is compiled again even if it seems to be there."""

    sources: tuple[SourceFile, ...]
    cache_dir: Path
    region: str
    damaged: tuple[str, int] | None = None
    in_background: bool = False  # let what serves go first
    # Titles up to which the index is made at once; of more, by a job of its own.
    at_once: int = AT_ONCE
    index: bool = False  # make what is missing of the current generation's index, nothing else

    def to_json(self) -> bytes:
        """Encode the job."""
        sources = [{"kind": source.kind, "path": str(source.path), "variable": source.variable} for source in self.sources]
        return dumps(
            {
                "sources": sources,
                "cache_dir": str(self.cache_dir),
                "region": self.region,
                "damaged": self.damaged,
                "in_background": self.in_background,
                "at_once": self.at_once,
                "index": self.index,
            }
        )

    @classmethod
    def from_json(cls, data: bytes) -> Job:
        """Decode what `to_json` encoded."""
        job = loads(data)
        return cls(
            sources=tuple(SourceFile(Kind(source["kind"]), Path(source["path"]), source["variable"]) for source in job["sources"]),
            cache_dir=Path(job["cache_dir"]),
            region=job["region"],
            damaged=tuple(job["damaged"]) if job["damaged"] else None,
            in_background=job["in_background"],
            at_once=job["at_once"],
            index=job["index"],
        )


@dataclass(frozen=True, slots=True)
class Skip:
    """One record that could not be used."""

    source: str
    position: int  # in its list, from 1
    record: str
    reason: str


@dataclass(frozen=True, slots=True)
class Done:
    """Say what was found or made."""

    manifest: Manifest
    compiled: bool  # or indexed; False: another process had made it, or nothing had changed
    skips: tuple[Skip, ...] = ()  # the first of them
    seconds: float = 0.0
    peak_mib: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self) | {"manifest": self.manifest.to_json()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Done:
        """Read what `to_json` returned."""
        return cls(
            **values | {"manifest": Manifest.from_json(values["manifest"]), "skips": tuple(Skip(**skip) for skip in values["skips"])}
        )
