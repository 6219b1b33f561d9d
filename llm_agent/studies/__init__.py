"""Studies: training runs that differ in one setting, repeated over seeds."""
