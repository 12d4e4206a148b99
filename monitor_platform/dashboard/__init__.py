"""The dashboard: HTML pages around Bokeh figures. Each open page has a document; equal queries share their answers."""
