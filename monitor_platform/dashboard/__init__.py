"""The dashboard: HTML pages around Bokeh figures. Each open page has a document; equal questions share their answers."""
