"""ACT: carries a plan out. Decides nothing."""
