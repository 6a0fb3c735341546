"""The report of a run: tables and figures of what was kept."""
