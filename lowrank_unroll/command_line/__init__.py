"""The command line: commands, their help and configs, checks before a run, and short error messages.

Each command imports its module only when it runs, since PyTorch and Lightning take seconds.
"""
