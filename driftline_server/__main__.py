"""`python -P -m driftline_server COMMAND ...`: the command line, without a module of the working directory."""

from driftline_server import main

main()
