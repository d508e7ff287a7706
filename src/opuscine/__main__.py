"""`python -m opuscine`."""

from opuscine.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
