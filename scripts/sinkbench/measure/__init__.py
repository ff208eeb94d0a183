"""The measuring jobs: quality, speed, speculation, continuation, profile."""
