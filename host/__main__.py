"""``python -m host``."""

import os
import signal
import sys

if __name__ == "__main__":
    # Nothing has to be cleaned up before the command line takes over, and an import may swallow the
    # exception of an interrupt.
    if interrupts := signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    from .cli import main
    if interrupts:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
