"""A verb run for another program: gets ready, waits for its last words, and ends when that program does.

    python -m quantcli.cli.tethered MODULES VERB WORD…

`MODULES` (comma between) are imported at once; then a line on stdin, a JSON list, brings more words for the
verb.  When stdin ends, so does this: whoever started it may be killed, and leaves nobody behind.
"""

import json
import os
import signal
import sys
import time
from importlib import import_module
from threading import Thread

from quantcli.cli.app import main

# How long a verb may take to stop in good order when there is nobody left to wait for it.
_LAST_S = 5.0


def run() -> None:
    """Run the verb named on the command line."""
    modules, *words = sys.argv[1:]
    for module in filter(None, modules.split(",")):
        import_module(module)
    told = sys.stdin.readline()
    if not told:
        sys.exit(0)
    Thread(target=_end_with_stdin, daemon=True).start()
    sys.argv = ["quant", *words, *json.loads(told)]
    main()


def _end_with_stdin() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_LAST_S)
    os._exit(1)


if __name__ == "__main__":
    run()
