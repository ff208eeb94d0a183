"""A config turned into a plan: runs, settings of jobs, what is stale, what is missing."""
