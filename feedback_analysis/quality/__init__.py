"""Quality models: each turns what end hosts said into one score, and tells which terms made it.

A score is the sum of its terms, so that "why 2.9?" has an answer in the same unit: 5 to begin with, −1.4 from stalls. A new model
is a module like the others here and a line in `catalogue.py`.
"""
