from shared.machine.process import end_process, set_up

set_up()  # before the slow import

from shared.command.line import main

end_process(main(__package__))
