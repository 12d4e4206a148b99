"""The figures that the documentation quotes, each measured side by side with what a user would pick instead."""
