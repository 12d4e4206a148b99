"""Runs trainings: the folder of a training, its lab, shaping, sessions, and the server of trainings."""
