"""The data set of a training: tables, splits, export and data card."""
