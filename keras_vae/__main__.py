import sys

from shared.cli import log_unexpected, main

sys.excepthook = log_unexpected

raise SystemExit(main(__package__))
