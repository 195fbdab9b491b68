"""The zygote: a process that has everything imported and forks workers in milliseconds.

One per job and runtime environment on a node, started by the node's hub; `proto/local.md` says
what the two tell each other. It has one thread, always: only so is forking safe.
"""
