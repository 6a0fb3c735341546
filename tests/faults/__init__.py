"""What goes wrong on a board, and what comes from strangers: each with the real program. The table is in systemd/README.md."""
