"""From the measurements to tables, figures and pages."""
