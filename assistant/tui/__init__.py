"""`bedside chat`: the clinician's terminal, the only place that imports Textual."""
