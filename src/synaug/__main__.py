"""Let ``python -m synaug`` and ``accelerate launch -m synaug`` be the command line."""

from synaug.cli import main

main()
