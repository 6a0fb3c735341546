"""`bedside serve` against llama-server, llama-bench and llama-cpp-python's two servers: one file, client, machine and run."""
