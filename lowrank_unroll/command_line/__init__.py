"""The command line: its commands, configs, checkpoints, and what it says when something is wrong.

Nothing here is imported before a command needs it: PyTorch and Lightning take seconds.
"""
