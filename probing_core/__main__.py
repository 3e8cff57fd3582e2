"""``python -m probing_core``."""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback while the imports run

from probing_core.cli import main  # noqa: E402

main()
