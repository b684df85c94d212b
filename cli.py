"""Run the command-line interface from a checkout: ``python cli.py fit --config color_cs/demo.yaml``."""

from lowrank_unroll.__main__ import main

if __name__ == "__main__":
    main()
