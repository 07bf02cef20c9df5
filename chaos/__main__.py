"""`python -m chaos`, and the scripts `chaos` and `collab-chaos`."""

from __future__ import annotations


def main() -> None:
    """Enter the command line; ends with `SystemExit`."""
    from chaos.cli.main import main as group

    group(prog_name="chaos")


if __name__ == "__main__":
    main()
