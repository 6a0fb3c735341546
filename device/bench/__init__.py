"""What answers cost on this machine: `bedside device bench`.

Data flow: `settings` -> `run` (phases: idle, warm-up, answers with and without sampling, idle; `engine` answers, `recorder`
samples, `circumstances` looks at the board) -> `series` (what was measured) -> `table` (figures) -> `report` (all that is known)
-> `views`, `output`, `picture`. `random_file` makes the file of `--shape`; `command` puts it together.
"""
