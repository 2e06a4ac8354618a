"""Observe the cache as an inventory, decide a plan from it, act on the plan, report what happened."""

__version__ = "0.1.0"
