"""The dashboard: ordinary HTML around Bokeh's figures, one document a viewer, one picture for all who ask the same."""
