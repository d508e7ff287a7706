"""Who streams films, and how raw statements about where a title streams become `OttLink`s. Pure: no I/O but one packaged file."""
