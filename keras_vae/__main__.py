from shared.machine.process import end_process, set_up
from shared.machine.versions import require_packages

set_up()  # before the slow import
require_packages()

from shared.command.line import main

end_process(main(__package__))
