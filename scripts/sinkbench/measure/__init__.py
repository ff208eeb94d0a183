"""The measuring jobs: quality, speed, speculation, profile, recall, sinks, continuation."""
