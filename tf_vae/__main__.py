from shared.cli import main

raise SystemExit(main(__package__))
