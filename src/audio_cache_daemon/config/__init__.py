"""BOUNDARY: YAML in, values out; strict, all problems at once."""
