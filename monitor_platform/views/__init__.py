"""The four views: each a Bokeh figure that is drawn once, and how to show new data in it."""
