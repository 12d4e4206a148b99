"""What the clients of the lab play: ladders of encoded video (`video_encoding.py`), and their server (`content_server.py`).

A *ladder* is one content encoded at several rates, its *rungs*. Only some seconds of each rung are encoded. The server repeats them
for as long as a session lasts: it writes the time of each repetition into the segments, so that players see one long video.
"""
