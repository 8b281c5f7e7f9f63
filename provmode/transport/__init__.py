"""One PC: the connection, its authentication, and the conversation over it."""
