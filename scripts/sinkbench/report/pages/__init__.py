"""The report's pages: each offers page(...), the whole file as text."""
