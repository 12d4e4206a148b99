"""Quality models: each computes one score from the fields of messages, and the terms of which the score is the sum.

The terms explain a score in its own unit, for example: 5 at the start, −1.4 from stalls. A new model is a module like the others
here and a line in `all_models.py`. The MOS formula of the paper is in `mos.py`.
"""
