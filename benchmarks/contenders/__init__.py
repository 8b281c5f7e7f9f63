"""One way of reading a fleet a file. Each runs as a process of its own and prints one JSON line (`Measured`)."""
