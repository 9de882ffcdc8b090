"""`python -m ui.cli` is the command `twofold`."""

from ui.cli.main import main

main()
