"""Classifiers and regressions: features, fitting, honest evaluation, calibration, and storage without pickle."""
