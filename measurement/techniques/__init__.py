"""How an agent measures: one synchronous function for each technique, behind `measure` (`registry.py`).

They run in a process of their own (`python -m measurement.techniques`), because other work in the process would disturb their
timing. All of them send to the address of the destination only. They take the time of arrivals from the kernel.
"""
