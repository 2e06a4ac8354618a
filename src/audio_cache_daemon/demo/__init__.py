"""Makes caches to try things on: a small one with playable sounds and every known fault, and big ones for measuring."""
