"""`python -m gedi_nesy`: the command line."""

from gedi_nesy.cli import main

main(prog_name="gedi-nesy")
