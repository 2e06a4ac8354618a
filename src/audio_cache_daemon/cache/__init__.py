"""OBSERVE: what is on the disk. Never writes."""
