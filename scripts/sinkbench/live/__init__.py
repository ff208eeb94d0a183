"""Text as a run writes it, outside of the study: which run, its text piece by piece, and how fast."""
