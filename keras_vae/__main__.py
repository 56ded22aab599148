from shared.run.process import set_up

set_up()  # before the slow import

from shared.cli import main

raise SystemExit(main(__package__))
