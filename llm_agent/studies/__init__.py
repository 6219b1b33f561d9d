"""Studies: runs that differ in one thing, over seeds."""
