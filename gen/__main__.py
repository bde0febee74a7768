"""``python -m gen``."""

import os
import signal
import sys

if __name__ == "__main__":
    # Until the command line takes over, nothing has to be cleaned up, and an import may swallow
    # the exception that an interrupt is.
    if interrupts := signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    from .cli.main import main
    if interrupts:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
