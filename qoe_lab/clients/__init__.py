"""What plays: Chromium with hls.js or dash.js, and a small player without a browser. Each runs in a process of its own."""
