"""REPORT: says what happened, in the audit log, on the terminal, as JSON."""
