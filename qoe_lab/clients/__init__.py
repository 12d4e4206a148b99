"""The clients of the lab: each plays one session, writes its events, and reports as an end host through the SDK.

`python -m qoe_lab.clients CLIENT` runs one: `headless_player.py` (no browser, nothing is decoded), `browser_player.py` (Chromium
with hls.js or dash.js), or `overlay_player.py` (the player of the streaming overlay).
"""
