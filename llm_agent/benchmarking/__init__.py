"""The benchmark: one number for any policy, on fixed problems."""
