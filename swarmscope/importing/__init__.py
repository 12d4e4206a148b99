"""Feedback of another system as records of ours: `swarmscope import`.

    file ─▶ source: rows of text, in order of time ─▶ rows: one record or one refusal each ─▶ a folder of logs, or a coordinator

Every value arrives as text, whatever the file's form, so that one rule decides what it means and one bad row costs one row.
"""
