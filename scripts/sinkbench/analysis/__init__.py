"""From the table of measurements to numbers, comparisons and verdicts."""
