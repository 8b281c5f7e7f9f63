"""The command line `provmode`: each command parses its arguments, calls `fleet/`, and prints. It owns nothing else."""
