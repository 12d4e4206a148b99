"""Models that infer from traffic what players know: fitted, judged on sessions that they have not seen, and stored as plain arrays.

`tasks.py` says what is inferred and `families.py` how. `evaluation.py` judges a family only on sessions that it has not seen, and
`leak_alarms.py` looks for ways in which the judgement could still be wrong. `model_fitting.py` puts it together and chooses. What
applies a stored model (`plain_models.py`, `tree_arrays.py`, `calibration.py`, `storage.py`) needs NumPy only; scikit-learn fits,
and never loads.
"""
