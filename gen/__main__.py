"""``python -m gen``."""

import os
import signal
import sys

if __name__ == "__main__":
    # Until the command line takes over there is nothing to clean up, and an import might swallow
    # the exception of an interrupt.
    if interrupts := signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    from .cli.main import main
    if interrupts:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
