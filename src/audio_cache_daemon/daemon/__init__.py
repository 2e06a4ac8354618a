"""The long-running service: it alone owns a clock, threads and signals."""
