"""`python -m quantcli`: the executable `quant`, by another way."""

import sys

from quantcli.cli.app import main

if __name__ == "__main__":
    sys.argv[0] = "quant"
    main()
