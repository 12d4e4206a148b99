"""From inference logs to numbers: sums of groups, and inferred beside reported quality."""
