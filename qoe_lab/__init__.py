"""The QoE lab: it plays video over shaped links, captures the traffic, and makes labelled data and classifiers of it.

A *training* is a campaign of sessions with different limits of the rate (`training_plan.py`). `running/` plays each session in a
network of `netlab`, between a `sources/` server and one of the `clients/`. `traffic/` turns the capture into numbers, `labels/`
the events of the client. `dataset/` joins both to tables, `models/` fits classifiers to them, and `scoring/` applies a fitted
classifier to other captures.
"""
