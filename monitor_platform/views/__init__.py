"""The views as Bokeh figures. Each is made once; `show` replaces its data."""
