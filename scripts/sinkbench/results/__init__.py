"""From result files to one tidy table of measurements, with intervals."""
