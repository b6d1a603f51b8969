"""``procpath`` and ``python -m procpath``: the command line."""

from __future__ import annotations

import sys


def main() -> int:
    """Run ``procpath`` with the arguments of the process, and return the exit status."""
    try:
        # Nor does an interrupt of the imports, which take most of a short run, print a traceback.
        try:
            import procpath.linux  # noqa: F401  # raises ImportError on an unsupported system
        except ImportError as error:
            sys.exit(f"procpath: {error}")
        from procpath.cli import main as run
    except KeyboardInterrupt:
        return 130  # as a shell reports a program that SIGINT ended
    return run()


if __name__ == "__main__":
    sys.exit(main())
